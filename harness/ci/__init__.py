"""What continuous integration is told: summaries, annotations, test reports."""
