"""Pages of the admin."""

from django.contrib import admin

from library.models import Book


@admin.register(Book)
class BookAdmin(admin.ModelAdmin):
    """List, search and edit the books."""

    list_display = ["title", "author", "year"]
    search_fields = ["title", "author"]
