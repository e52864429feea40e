"""Tables of the database."""

from django.db import models


class Book(models.Model):
    """A book on the shelf."""

    title = models.CharField(max_length=200)
    author = models.CharField(max_length=200)
    year = models.PositiveSmallIntegerField(null=True, blank=True)

    class Meta:
        """The order in lists; no two books of the same title and author."""

        ordering = ["title"]
        constraints = [models.UniqueConstraint(fields=["title", "author"], name="unique_book")]

    def __str__(self):
        return f"{self.title} by {self.author}"
