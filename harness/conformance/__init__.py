"""The contracts of problems, estimators and image sources, as checks for the tests of packages that add some.

    from harness import conformance

    def test_my_problem():
        conformance.check_problem(MyProblem(dtype="float64"))

Each check raises ``AssertionError`` with one line that says what the contract wants and what was found. What is no
breach but costs the part something is returned, a remark a line.
"""

from harness.conformance.estimators import check_estimator
from harness.conformance.image_sources import check_image_source
from harness.conformance.problems import check_problem

__all__ = ["check_estimator", "check_image_source", "check_problem"]
