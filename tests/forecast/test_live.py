"""Bytes live at each kernel, on computations small enough to count by hand."""

from collections.abc import Callable, Mapping

import pytest
import torch
from torch import Tensor

from harness.forecast.kernels import Taken, argument_bytes, ask, takes_memory
from harness.forecast.live import A_NUMBER, Endless, Kernel, Like, Record, Sizes, recording
from harness.forecast.torch_private import FakeTensorMode
from harness.phases import alike, phase

VECTOR = Like((100,), (1,), torch.float32)
CPU = torch.device("cpu")


def record(
    call: Callable[[Tensor], object], device_type: str = "cpu", returned: Mapping[Kernel, Sizes] | None = None
) -> Record:
    """What ``call`` held, given a vector of 100 numbers that does not count."""
    with FakeTensorMode(allow_non_fake_inputs=True):
        x = torch.empty(100, requires_grad=True)
        with recording(device_type, returned) as result:
            call(x)
    return result


def held(result: Record) -> int:
    """The most bytes before a kernel and of what it returns."""
    return max(before + result.growth[kernel] for (_, kernel), before in result.before.items())


def test_what_is_dropped_is_given_back() -> None:
    def chain(x: Tensor) -> None:
        with torch.no_grad():
            for _ in range(5):
                x = x.sin()

    assert held(record(chain)) == 2 * 400


def test_what_is_kept_counts() -> None:
    def kept(x: Tensor) -> list[Tensor]:
        with torch.no_grad():
            return [x.sin() for _ in range(5)]

    assert held(record(kept)) == 5 * 400


def test_what_returns_its_argument_does_so_again() -> None:
    """Only kernels that returned new tensors have the like made of what they returned."""

    def again(x: Tensor) -> None:
        y = x.detach().sin()
        assert all(y.add_(1.0) is y and y.view(10, 10).untyped_storage() is y.untyped_storage() for _ in range(3))

    assert held(record(again)) == 400


def test_a_view_holds_nothing() -> None:
    def views(x: Tensor) -> list[Tensor]:
        return [x.view(10, 10), x[:50], x.detach()]

    assert held(record(views)) == 0


def test_blocks_of_cuda_are_of_512_bytes() -> None:
    assert held(record(lambda x: x.detach().sin())) == 400
    assert held(record(lambda x: x.detach().sin(), "cuda")) == 512


def test_cotangents_are_summed_in_the_memory_of_the_first() -> None:
    """Four uses of x: with data the engine adds their cotangents up in place, three sums that make no tensor."""
    in_place = torch.ops.aten.add_.Tensor

    def shared(x: Tensor) -> None:
        y = x * 1.0
        (grad,) = torch.autograd.grad((y.sin() + y.cos() + y.exp() + y.tanh()).sum(), x)
        del grad

    operators = [kernel.operator for _, kernel in record(shared).before]
    assert operators.count(in_place) == 1  # one kind of call
    growth = [grown for kernel, grown in record(shared).growth.items() if kernel.operator is in_place]
    assert growth == [0]


def test_a_sum_of_the_callers_own_makes_a_tensor() -> None:
    result = record(lambda x: x.detach() + x.detach())
    assert [(kernel.operator, grown) for kernel, grown in result.growth.items() if grown] == [
        (torch.ops.aten.add.Tensor, 400)
    ]


def test_sites_are_told_apart_by_phase() -> None:
    def phased(x: Tensor) -> None:
        with torch.no_grad():
            with phase("inner"):
                y = x.sin()
            with phase("query"):
                z = y.sin()
            del y, z

    before = record(phased).before
    assert [(name, nbytes) for (name, _), nbytes in before.items()] == [("inner", 0), ("query", 400)]


def test_a_value_is_answered_without_computing() -> None:
    answers: list[object] = []
    record(lambda x: answers.extend((bool(x.detach().sum() > 0), x.detach().sum().item(), int(x.sum().long()))))
    assert answers == [False, A_NUMBER, 1]


def test_loops_of_like_rounds_are_shortened_to_some_and_the_last() -> None:
    rounds: list[list[int]] = []
    record(lambda x: rounds.append(list(alike(30))))
    assert rounds == [[0, 1, 29]]
    assert list(alike(30)) == list(range(30))


def test_a_kernels_scratch_is_what_it_allocates_itself() -> None:
    """Sorting 100 numbers returns 400 bytes of values and 800 of indices, and takes more while it runs."""
    kernel = Kernel(torch.ops.aten.sort.default, (VECTOR,), ())
    assert ask([kernel], CPU)[kernel].peak_bytes >= 1200


def test_a_number_is_a_tensor_while_its_kernel_runs() -> None:
    """12 bytes: it in double precision, and in the tensor's own."""
    kernel = Kernel(torch.ops.aten.mul.Tensor, (VECTOR, 2.0), ())
    assert ask([kernel], CPU) == {kernel: Taken(412, (400,))}


def test_kernels_that_can_hold_nothing_are_not_asked() -> None:
    product = Kernel(torch.ops.aten.mul.Tensor, (VECTOR, VECTOR), ())
    view = Kernel(torch.ops.aten.view.default, (VECTOR, (10, 10)), ())
    assert not takes_memory(product)
    assert not takes_memory(view)
    assert ask([product, view], CPU) == {}


def test_whole_numbers_are_those_of_the_kernel_that_made_them() -> None:
    """Pivots of 0 are none: the kernel refuses them, where others would read as far as they point."""
    kernels = record(
        lambda x: torch.linalg.lu_solve(*torch.linalg.lu_factor(x[:100].detach().view(10, 10)), x[:10, None])
    )
    [solve] = [kernel for kernel in kernels.growth if kernel.operator is torch.ops.aten.linalg_lu_solve.default]
    assert ask([solve], CPU) == {}
    assert ask([solve], CPU, kernels.origins)[solve].returned == (40,)


def test_a_workspace_is_as_large_as_its_kernel_makes_it() -> None:
    """Tensors without data show none of an LSTM's, and its backward pass reads what is not there where it is zeros."""
    lstm = torch.nn.LSTM(4, 6)
    kernels = record(lambda x: lstm(x.view(5, 5, 4))[0].sum().backward())
    named = {kernel.operator.name(): kernel for kernel in kernels.growth}
    forward, backward = named["aten::mkldnn_rnn_layer"], named["aten::mkldnn_rnn_layer_backward"]
    asked = ask([forward, backward], CPU, kernels.origins)
    assert (kernels.returned[forward][-1], asked[forward].returned[-1] > 0) == (0, True)
    assert asked[backward].peak_bytes > 0
    again = record(lambda x: lstm(x.view(5, 5, 4))[0].sum().backward(), returned={forward: asked[forward].returned})
    assert again.growth[forward] == sum(asked[forward].returned)


def test_a_kernel_that_cannot_have_its_whole_numbers_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    kernels = record(lambda x: x.detach().view(10, 10).sort(1)[1].sort(1)[0])
    _, of_indices = [kernel for kernel in kernels.growth if kernel.operator is torch.ops.aten.sort.default]
    assert of_indices in ask([of_indices], CPU, kernels.origins)
    monkeypatch.setattr("harness.forecast.kernels._asked", {})
    monkeypatch.setattr("harness.forecast.kernels.LARGEST_BYTES", 399)  # 100 numbers are 400 bytes, their indices 800
    assert ask([of_indices], CPU, kernels.origins) == {}


def test_memory_as_it_was_found_is_no_number_to_give_a_kernel() -> None:
    def unwritten(x: Tensor) -> Tensor:
        return torch.empty(100, dtype=torch.int64).remainder(7).sort()[0]

    kernels = record(unwritten)
    assert all(kernel in ask([kernel], CPU, kernels.origins) for kernel in kernels.growth if takes_memory(kernel))


def test_a_number_that_autograd_saves_is_held_as_long_as_its_graph() -> None:
    """8 bytes for each factor, in no tensor that a mode sees."""

    def scaled(x: Tensor) -> None:
        y = x * 2.0 * 3.0
        (grad,) = torch.autograd.grad(y.sum(), x)
        grad.sin()

    before = {kernel.operator: nbytes for (_, kernel), nbytes in record(scaled).before.items()}
    assert before[torch.ops.aten.sum.default] == 400 + 2 * 8
    assert before[torch.ops.aten.sin.default] == 400 + 400  # y, whose graph is used up, and the gradient


def test_what_formulas_write_into_zeros_of_their_own_is_no_second_tensor() -> None:
    """The gradient of sorted numbers, put where they came from: with data within the zeros made for it."""

    def sorting(x: Tensor) -> None:
        (grad,) = torch.autograd.grad(x.sort()[0], x, torch.ones(100))
        grad.sin()

    result = record(sorting)
    assert {kernel.operator for kernel in result.growth} >= {torch.ops.aten.scatter_.src}
    assert (
        max(nbytes for (_, kernel), nbytes in result.before.items() if kernel.operator is torch.ops.aten.sin.default)
        == 400
    )


def test_a_computation_that_waits_for_a_value_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    def waits(x: Tensor) -> None:
        while x.detach().norm().item() > 1.0:
            pass

    monkeypatch.setattr("harness.forecast.live.MOST_KERNELS", 100)
    with pytest.raises(Endless, match=r"^not at its end after 100 kernels"):
        record(waits)


def test_a_kernel_that_is_too_large_or_fails_has_no_answer() -> None:
    huge = Kernel(torch.ops.aten.mm.default, (Like((2**15, 2**15), (2**15, 1), torch.float32),) * 2, ())
    wrong = Kernel(torch.ops.aten.mm.default, (VECTOR, VECTOR), ())
    assert argument_bytes(huge) == 2 * 4 * 2**30
    assert huge not in ask([huge], CPU)
    assert ask([wrong], CPU) == {}
