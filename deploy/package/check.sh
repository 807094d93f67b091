#!/usr/bin/env bash
# Checks what dist.sh has built: that packages and tarballs hold what people look for,
# that the man page is clean, that each shell takes its completion, and with lintian,
# where it is installed, the Debian packages.
#
#   deploy/package/check.sh dist
set -euo pipefail
dist=$(cd "$1" && pwd)
cd "$(dirname "$0")/../.."

failed=0
complain() { echo "packages: $*" >&2; failed=1; }

# holds WHAT LIST FILE... requires each file in a list of names.
holds() {
  local what=$1 list=$2 file
  shift 2
  for file in "$@"; do
    grep -qxF "$file" <<<"$list" || complain "$what has no $file"
  done
}

# links DIR requires what documents refer to at its place.
links() {
  local doc link target
  find "$1" -name '*.md' | while read -r doc; do
    { grep -o '](\([^)#[:space:]]*\)' "$doc" || true; } | cut -c3- | sort -u | while read -r link; do
      case $link in '' | *://* | mailto:*) continue ;; esac
      target=$(realpath -m "$(dirname "$doc")/$link")
      [ -e "$target" ] || echo "${doc#"$1"/} refers to $link"
    done
  done
}

docs=$(cd docs && echo *.md)
for deb in "$dist"/*.deb; do
  list=$(dpkg-deb --fsys-tarfile "$deb" | tar -t | sed 's|^\./||')
  holds "$deb" "$list" usr/bin/ws-gateway etc/ws-gateway/gateway.yaml usr/share/ws-gateway/gateway.schema.json \
    lib/systemd/system/ws-gateway.service lib/systemd/system/ws-gateway.socket \
    usr/share/man/man8/ws-gateway.8.gz usr/share/doc/ws-gateway/{copyright,changelog.gz,licences.gz,README.md.gz,CHANGELOG.md.gz} \
    usr/share/bash-completion/completions/ws-gateway usr/share/zsh/vendor-completions/_ws-gateway \
    usr/share/fish/vendor_completions.d/ws-gateway.fish usr/share/doc/ws-gateway/deploy/prometheus/alerts.yaml \
    usr/share/doc/ws-gateway/docs/{openapi,asyncapi}.yaml
  for doc in $docs; do holds "$deb" "$list" "usr/share/doc/ws-gateway/docs/$doc.gz"; done
  if command -v lintian >/dev/null; then
    # The sources name no holder of a copyright.
    lintian --fail-on error,warning --allow-root --suppress-tags copyright-without-copyright-notice "$deb" || complain "lintian finds fault with $deb"
  fi
done
for tarball in "$dist"/*-linux-*.tar.gz; do
  name=$(basename "$tarball" .tar.gz)
  list=$(tar -tzf "$tarball" | sed "s|^$name/||")
  holds "$tarball" "$list" ws-gateway ws-gateway.service ws-gateway.socket gateway.yaml gateway.schema.json README.md CHANGELOG.md LICENCES-OF-PARTS man/ws-gateway.8 \
    completions/bash/ws-gateway completions/zsh/_ws-gateway completions/fish/ws-gateway.fish deploy/grafana/ws-gateway.json docs/{openapi,asyncapi}.yaml
  for doc in $docs; do holds "$tarball" "$list" "docs/$doc"; done
  work=$(mktemp -d)
  tar -xzf "$tarball" -C "$work"
  dead=$(links "$work/$name")
  [ -z "$dead" ] || complain "$tarball: is not there: $dead"
  rm -rf "$work"
done

page=$(mandoc -T lint -W warning deploy/package/ws-gateway.8) || complain "the man page: $page"
bash -n cmd/ws-gateway/cli/completion/bash || complain 'the completion for bash'
for shell in zsh fish; do
  if command -v $shell >/dev/null; then
    $shell -n cmd/ws-gateway/cli/completion/$shell || complain "the completion for $shell"
  fi
done
exit $failed
