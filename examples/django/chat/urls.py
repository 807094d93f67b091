from django.urls import path

from . import views

urlpatterns = [
    path("", views.page),
    path("login", views.login),
    path("ws/message", views.callback),
]
