"""Requests to the macaroon tools of the service."""


def restrict(service, certificate=None, **body):
    return service.open("/macaroon/restrict", certificate, json=body)


def raw(service, path, text: str | bytes):
    return service.open(path, data=text, content_type="application/json")
