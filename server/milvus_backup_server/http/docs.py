"""The API page: Swagger UI from an installed package, over our own document. It needs no network."""

from __future__ import annotations

import asyncio
from importlib import resources
from typing import Final

from fastapi import APIRouter
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from starlette.exceptions import HTTPException
from starlette.requests import Request

from milvus_backup_server.http.responses import JsonResponse

_PACKAGE: Final = "fastapi_swagger.resources"
_ASSETS: Final = {
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
    "favicon-32x32.png": "image/png",
}
_PAGE: Final = "index.html"
_DOCUMENT: Final = "doc.json"
_HEADERS: Final = {
    # A page that reaches nothing but this service, whatever the package has in it.
    "Content-Security-Policy": "default-src 'none'; connect-src 'self'; img-src 'self' data:; "
    "script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
}
_LOOKS: Final = {
    "tryItOutEnabled": True,
    "displayRequestDuration": True,
    "validatorUrl": None,
}

router = APIRouter(include_in_schema=False)


@router.get("/docs")
async def docs() -> Response:
    """Lead to the page."""
    return RedirectResponse(f"docs/{_PAGE}")


@router.get("/docs/")
async def docs_directory() -> Response:
    """Lead to the page."""
    return RedirectResponse(_PAGE)


@router.get(f"/docs/{_PAGE}")
async def page(request: Request) -> HTMLResponse:
    """Return the page; all its links are relative."""
    found = get_swagger_ui_html(
        openapi_url=_DOCUMENT,
        title=request.app.title,
        swagger_js_url="swagger-ui-bundle.js",
        swagger_css_url="swagger-ui.css",
        swagger_favicon_url="favicon-32x32.png",
        swagger_ui_parameters=_LOOKS,
    )
    found.headers.update(_HEADERS)
    return found


@router.get(f"/docs/{_DOCUMENT}")
async def document(request: Request) -> Response:
    """Return the API document; the first time it has to be made."""
    return JsonResponse(await asyncio.to_thread(request.app.openapi))


@router.get("/docs/{name}")
async def asset(name: str) -> Response:
    """Return a file of the page."""
    media_type = _ASSETS.get(name)
    if media_type is None:
        raise HTTPException(404)
    data = await asyncio.to_thread((resources.files(_PACKAGE) / name).read_bytes)
    return Response(data, media_type=media_type, headers=_HEADERS)
