"""All figures of a run, and report.html."""

from utils.system.compute import forget_notebook_backend

forget_notebook_backend()
