"""Pyramid by traversal: each resource says which one it is, and where it believes to be."""

from pyramid.config import Configurator
from pyramid.request import Request
from pyramid.response import Response
from pyramid.traversal import resource_path_tuple


class Resource(dict[str, "Resource"]):
    """A resource, and the ones below it."""

    def __init__(self, name: str, parent: "Resource | None") -> None:
        """Stand below the parent under this name."""
        self.__name__, self.__parent__ = name, parent
        if parent is not None:
            parent[name] = self


ROOT = Resource("", None)
HEALTH, INVOICES = Resource("health", ROOT), Resource("invoices", ROOT)
Resource("invoices", HEALTH)
Resource("health", INVOICES)


def view(context: Resource, _: Request) -> Response:
    return Response(f"<{'/'.join(resource_path_tuple(context)[1:])}>")


def _root(_: Request) -> Resource:
    return ROOT


with Configurator(root_factory=_root) as configurator:
    configurator.add_view(view)
    application = configurator.make_wsgi_app()
