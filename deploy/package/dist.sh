#!/usr/bin/env bash
# Builds what is released into dist/: binaries for each architecture, and of ws-gateway
# a tarball, a Debian package and a bill of materials; the packed JavaScript client; and
# the checksums of these. The same commit, Go version and dpkg give the same bytes.
#
#   VERSION=v1.2.3 COMMIT=abc1234 LDFLAGS=... deploy/package/dist.sh
set -euo pipefail
cd "$(dirname "$0")/../.."

: "${VERSION:?}" "${COMMIT:?}" "${LDFLAGS?}"
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
MAINTAINER=${MAINTAINER:-ws-gateway maintainers <maintainers@ws-gateway.example>}
export SOURCE_DATE_EPOCH LC_ALL=C TZ=UTC
umask 022

# v1.2.3-4-gabc becomes 1.2.3+4.gabc, which is above 1.2.3; a commit without a tag
# is below all releases.
debian_version() {
  local v=${VERSION#v}
  # shellcheck disable=SC2001 # sed's pattern has groups
  case $v in
    [0-9]*.*) v=${v//-/.} && echo "${v/./.}" | sed 's/^\([0-9.]*[0-9]\)\.\([0-9]*\.g[0-9a-f]*\)/\1+\2/' ;;
    *) echo "0~$(date -d "@$SOURCE_DATE_EPOCH" +%Y%m%d).${v//-/.}" ;;
  esac
}

# The licences of everything that is linked in; they ask to be passed on.
licences() {
  printf 'Software that is part of ws-gateway, and its licences.\n'
  {
    echo "Go $(go env GOVERSION) $(go env GOROOT)"
    GOOS=linux go list -deps -f '{{with .Module}}{{if not .Main}}{{.Path}} {{.Version}} {{.Dir}}{{end}}{{end}}' ./cmd/ws-gateway | sort -u
  } | while read -r path version dir; do
    printf '\n--- %s %s\n\n' "$path" "$version"
    find "$dir" -maxdepth 1 -type f \( -iname 'licen[cs]e*' -o -iname 'copying*' -o -iname 'notice*' \) | sort | xargs -r cat -- | grep . ||
      { echo "no licence found in $path" >&2; exit 1; }
  done
}

# documents DIR puts what is to be read there, and what is to be copied, each at its path in
# the repository, to which documents refer.
documents() {
  local file
  git ls-files -- '*.md' docs examples client deploy \
    ':!:*_test.*' ':!:examples/*.go' ':!:docs/*.go' ':!:docs/testdata' ':!:client/t*' ':!:deploy/package' ':!:deploy/proxies' ':!:deploy/tools' ':!:*/scrape.sh' ':!:client/*.go' ':!:*/.*' ':!:.*' |
    (cat; git ls-files examples/go) | while read -r file; do
      install -D -m "$([ -x "$file" ] && echo 755 || echo 644)" "$file" "$1/$file"
    done
}

# completions DIR-OF-BASH DIR-OF-ZSH DIR-OF-FISH puts them where each shell looks.
completions() {
  install -D -m 644 cmd/ws-gateway/cli/completion/bash "$1/ws-gateway"
  install -D -m 644 cmd/ws-gateway/cli/completion/zsh "$2/_ws-gateway"
  install -D -m 644 cmd/ws-gateway/cli/completion/fish "$3/ws-gateway.fish"
}

# stage DIR ARCH lays out the Debian package.
stage() {
  local root=$1 arch=$2 doc=$1/usr/share/doc/ws-gateway
  install -D -m 755 "dist/linux-$arch/ws-gateway" "$root/usr/bin/ws-gateway"
  install -D -m 644 -t "$root/lib/systemd/system" deploy/systemd/ws-gateway.service deploy/systemd/ws-gateway.socket
  install -D -m 644 deploy/package/gateway.yaml "$root/etc/ws-gateway/gateway.yaml"
  install -D -m 644 -t "$root/usr/share/ws-gateway" deploy/package/gateway.schema.json
  install -D -m 644 deploy/package/lintian-overrides "$root/usr/share/lintian/overrides/ws-gateway"
  completions "$root/usr/share/bash-completion/completions" "$root/usr/share/zsh/vendor-completions" "$root/usr/share/fish/vendor_completions.d"
  install -d "$doc" "$root/usr/share/man/man8" "$root/DEBIAN"
  gzip -9n <deploy/package/ws-gateway.8 >"$root/usr/share/man/man8/ws-gateway.8.gz"
  documents "$doc"
  find "$doc" -name '*.md' -exec gzip -9n {} +
  gzip -9n <dist/licences >"$doc/licences.gz"
  install -m 644 deploy/package/copyright "$doc/copyright"
  printf 'ws-gateway (%s) unstable; urgency=medium\n\n  * Built from commit %s.\n\n -- %s  %s\n' \
    "$version" "$COMMIT" "$MAINTAINER" "$(date -R -d "@$SOURCE_DATE_EPOCH")" | gzip -9n >"$doc/changelog.gz"
  sed -e "s|@VERSION@|$version|; s|@ARCH@|$arch|; s|@MAINTAINER@|$MAINTAINER|" \
    -e "s|@SIZE@|$(du -sk --apparent-size "$root" | cut -f1)|" deploy/package/control.in >"$root/DEBIAN/control"
  install -m 755 -t "$root/DEBIAN" deploy/package/postinst deploy/package/prerm deploy/package/postrm
  echo /etc/ws-gateway/gateway.yaml >"$root/DEBIAN/conffiles"
  (cd "$root" && find etc lib usr -type f | sort | xargs md5sum >DEBIAN/md5sums)
}

tarball() {
  local name=ws-gateway-$VERSION-linux-$1
  mkdir -p "$work/$name"
  cp "dist/linux-$1/ws-gateway" deploy/systemd/ws-gateway.{service,socket} deploy/package/gateway.schema.json "$work/$name"
  sed '1s|=/usr/share/ws-gateway/|=|' deploy/package/gateway.yaml >"$work/$name/gateway.yaml" # there the schema lies beside it
  documents "$work/$name"
  completions "$work/$name/completions/bash" "$work/$name/completions/zsh" "$work/$name/completions/fish"
  install -D -m 644 -t "$work/$name/man" deploy/package/ws-gateway.8
  cp dist/licences "$work/$name/LICENCES-OF-PARTS"
  tar -C "$work" --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$SOURCE_DATE_EPOCH" -c "$name" | gzip -9n >"dist/$name.tar.gz"
}

mkdir -p dist
rm -rf dist/linux-* dist/ws-gateway-*-linux-* dist/ws-gateway_*.deb dist/ws-gateway-client-*.tgz dist/licences dist/SHA256SUMS
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
version=$(debian_version)
licences >dist/licences
go -C deploy/tools build -o "$work/sbom" ./sbom
for arch in amd64 arm64; do
  mkdir "dist/linux-$arch"
  CGO_ENABLED=0 GOOS=linux GOARCH=$arch go build -trimpath -ldflags "$LDFLAGS" -o "dist/linux-$arch/" ./cmd/...
  "$work/sbom" -name ws-gateway -version "$VERSION" "dist/linux-$arch/ws-gateway" >"dist/ws-gateway-$VERSION-linux-$arch.cdx.json"
  tarball "$arch"
  stage "$work/$arch" "$arch"
  dpkg-deb --root-owner-group -Zxz -z3 --build "$work/$arch" "dist/ws-gateway_${version}_$arch.deb" >/dev/null
done
npm pack --silent --pack-destination "$PWD/dist" ./client >/dev/null
deploy/package/check.sh dist
(cd dist && sha256sum ./*-linux-*.tar.gz ./ws-gateway-client-*.tgz ./*.deb ./*.cdx.json | sed 's|\./||' >SHA256SUMS && cat SHA256SUMS)
