"""Servers behind a proxy."""

BEHIND_A_PROXY = {
    "waitress, WSGI": ("waitress", "wsgi_application"),
    "waitress, Flask": ("waitress", "flask_application"),
    "waitress, Django": ("waitress", "django_wsgi_application"),
    "uvicorn, ASGI": ("uvicorn", "asgi_application"),
    "uvicorn, Starlette": ("uvicorn", "starlette_application"),
    "uvicorn, FastAPI": ("uvicorn", "fastapi_application"),
    "uvicorn, Django": ("uvicorn", "django_asgi_application"),
}
