"""What routes ask for."""

from typing import Annotated

from fastapi import Depends, Request

from mlops_cls.service.engine import Service


async def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


ServiceOf = Annotated[Service, Depends(_service)]
