"""Results, predicted clips and the course of training as files that people read."""

from frame_forecast.report.inputs import Sample, TrainingCurves
from frame_forecast.report.tables import markdown_table
from frame_forecast.report.writer import write_report

__all__ = ["Sample", "TrainingCurves", "markdown_table", "write_report"]
