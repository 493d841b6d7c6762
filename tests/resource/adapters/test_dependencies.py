"""The guard as a FastAPI dependency: one object for the same scopes, asked once a request."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI

from macaroon_cbat import Principal
from tests.support.counters import counts, difference
from tests.support.guarded_app import bound
from tests.support.starlette_calls import call, guard


def test_the_same_scopes_are_the_same_dependency():
    """A guard has one dependency for the same scopes, in any order; others have others, other guards too."""
    one = guard()
    assert one.require("read") is one.require("read")
    assert one.require("read write") is one.require("write  read")
    assert one.require() is one.require("")
    assert one.require("read") is not one.require("write")
    assert one.require("read") is not guard().require("read")


def test_a_request_is_judged_once():
    """FastAPI asks a dependency once a request: under a router and an endpoint alike there is one verdict."""
    app = FastAPI()
    once = guard(app)
    router = APIRouter(dependencies=[Depends(once.require("read"))])

    @router.get("/invoices")
    async def invoices(principal: Annotated[Principal, Depends(once.require("read"))]) -> str:
        return principal.client_id

    app.include_router(router)
    before = counts()
    assert call(app, bound(), path="/invoices").body == b'"billing"'
    assert difference(before) == {("verified_total", "yes", "no"): 1}


def test_tests_of_an_application_may_override_the_dependency():
    """An override in FastAPI's `dependency_overrides` takes the guard's place for the same scopes alone."""
    app = FastAPI()
    real = guard(app)

    @app.get("/read")
    async def read(principal: Annotated[Any, Depends(real.require("read"))]) -> str:
        return str(principal)

    @app.get("/write")
    async def write(principal: Annotated[Any, Depends(real.require("write"))]) -> str:
        return str(principal)

    app.dependency_overrides[real.require("read")] = lambda: "a reader"
    assert call(app, path="/read").body == b'"a reader"'
    assert call(app, path="/write").status == 401
