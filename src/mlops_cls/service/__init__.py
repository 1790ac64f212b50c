"""A classifier over HTTP: `create_app` for a server of one's own, ``python -m mlops_cls.serve`` for a whole one."""
