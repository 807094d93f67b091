#!/bin/sh
# nginx and php-fpm for this folder, until Ctrl-C. php-fpm leaves the session that started it,
# so it has to be ended by its id.
php-fpm8.2 --prefix . --fpm-config php-fpm.conf &
trap 'kill $!' EXIT
trap 'exit 0' INT TERM
nginx -p . -c nginx.conf
