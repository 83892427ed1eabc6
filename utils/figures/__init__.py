"""Every picture."""

from utils.compute import forget_notebook_backend

forget_notebook_backend()
