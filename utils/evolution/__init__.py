from utils.system.compute import forget_notebook_backend

forget_notebook_backend()  # cma imports matplotlib
