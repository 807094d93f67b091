from datetime import timedelta

from django.db import models
from django.utils import timezone


class Handled(models.Model):
    """An event that the app has acted on, by its X-Request-Id."""

    id = models.CharField(primary_key=True, max_length=64)
    at = models.DateTimeField(auto_now_add=True, db_index=True)

    REMEMBERED = timedelta(hours=1)


def once(id, act):
    """Act unless that has been done for this event: it comes again if its answer was lost."""
    if Handled.objects.filter(id=id).exists():
        return
    act()
    Handled.objects.get_or_create(id=id)
    Handled.objects.filter(at__lt=timezone.now() - Handled.REMEMBERED).delete()
