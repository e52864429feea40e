"""URLs: the admin, and a start page that leads to it."""

from django.contrib import admin
from django.http import HttpResponse
from django.urls import path
from django.views.generic import RedirectView

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index")),
    path("admin/", admin.site.urls),
    path("health", lambda request: HttpResponse("ok")),
]
