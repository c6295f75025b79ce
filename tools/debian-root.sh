#!/bin/bash
# A Debian of another release in a directory, for servers and compilers that this machine does not have. Needs root.
#
#   tools/debian-root.sh create SUITE           makes it, if there is none that works; prints its path
#   tools/debian-root.sh run SUITE COMMAND...   runs a command in it, as root, with this source tree's copy at /meridian
#
# Packages come from the mirror that this machine's own apt uses, with its proxy and other Acquire settings. Roots are kept
# in MERIDIAN_MATRIX_DIR (/var/tmp/meridian-matrix) and used again; `ready` inside marks one that was completed.
set -euo pipefail

base=${MERIDIAN_MATRIX_DIR:-/var/tmp/meridian-matrix}
action=${1:?usage: debian-root.sh create|run SUITE [COMMAND...]}
suite=${2:?usage: debian-root.sh create|run SUITE [COMMAND...]}
root=$base/$suite
shift 2

mirror() {
  local uri
  uri=$(apt-get indextargets --format '$(REPO_URI)' 'Label: Debian' 2> /dev/null | head -n 1)
  echo "${uri:-http://deb.debian.org/debian/}"
}

# Everything of this machine's apt configuration that says how to reach a mirror, without its hooks and package settings.
apt_settings() {
  apt-config dump | grep -E '^Acquire::(http|https|Check-Date|Check-Valid-Until|Retries|ForceIPv4|AllowInsecure)' || true
  echo 'APT::Install-Recommends "false";'
  echo 'APT::Sandbox::User "root";'
}

copy_host_settings() {
  apt_settings > "$root/etc/apt/apt.conf.d/90meridian"
  cp -rL /etc/apt/auth.conf.d "$root/etc/apt/" 2> /dev/null || true
  cp -L /etc/resolv.conf /etc/hosts "$root/etc/"
  mkdir -p "$root/etc/ssl/certs"
  if [ -e /etc/ssl/certs/ca-certificates.crt ]; then cp -L /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"; fi
}

# In mount and process namespaces of their own, so that neither mounts nor processes outlive the command.
run_inside() {
  unshare --mount --pid --fork --kill-child bash -euc '
    root=$1; shift
    mount -t proc proc "$root/proc"
    mount -t sysfs sysfs "$root/sys" 2> /dev/null || true
    mkdir -p "$root/dev/shm" "$root/dev/pts"
    mount -t tmpfs tmpfs "$root/dev/shm"
    mount -t devpts devpts "$root/dev/pts" 2> /dev/null || true
    exec chroot "$root" /usr/bin/env -i HOME=/root LANG=C.UTF-8 TERM=dumb \
      PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin ${http_proxy:+http_proxy="$http_proxy"} "$@"
  ' bash "$root" "$@"
}

is_healthy() { [ -e "$root/ready" ] && chroot "$root" /bin/true 2> /dev/null; }

create() {
  if is_healthy; then return 0; fi
  rm -rf "$root"
  mkdir -p "$base"
  local proxy
  proxy=$(apt-config shell proxy Acquire::http::Proxy)
  eval "$proxy"
  # Suites younger than this machine's debootstrap are built as unstable is.
  http_proxy=${proxy:-${http_proxy:-}} debootstrap --variant=minbase --include=ca-certificates "$suite" "$root" "$(mirror)" \
    /usr/share/debootstrap/scripts/sid
  # No daemon starts in here, and installing a server makes no cluster.
  printf '#!/bin/sh\nexit 101\n' > "$root/usr/sbin/policy-rc.d"
  chmod 755 "$root/usr/sbin/policy-rc.d"
  mkdir -p "$root/etc/postgresql-common/createcluster.d"
  echo 'create_main_cluster = false' > "$root/etc/postgresql-common/createcluster.d/meridian.conf"
  touch "$root/ready"
}

case $action in
  create)
    mkdir -p "$base"
    exec 8> "$base/$suite.lock"
    flock 8
    create > "$base/$suite.log" 2>&1 < /dev/null || { tail -n 50 "$base/$suite.log" >&2; exit 1; }
    copy_host_settings
    echo "$root"
    ;;
  run)
    run_inside "$@"
    ;;
  *)
    echo "debian-root.sh: unknown action $action" >&2
    exit 2
    ;;
esac
