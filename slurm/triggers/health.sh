#!/bin/sh
# Rankshift's HealthCheckProgram: the site's own first, then a node whose agent is gone while rank containers are on it is
# drained, once, so that no more work comes to it. slurmd runs it as root; it ends fast and exits 0, or as the site's does.

PATH=/usr/sbin:/usr/bin:/sbin:/bin
export PATH
site=@SITE@
code=0
if [ -n "$site" ]; then "$site" "$@"; code=$?; fi
mark=@RUNDIR@/health-drained
if [ -n "$(/bin/ls -A @STATEDIR@/containers 2>/dev/null)" ] && ! @AGENT@; then
  if [ ! -e "$mark" ] && : >"$mark"; then
    /usr/bin/timeout 20 scontrol update "NodeName=${SLURMD_NODENAME:-$(/bin/hostname -s)}" State=DRAIN \
      Reason='rankshift: the agent does not run' 2>&1 | /usr/bin/logger -t rankshift-health
  fi
else
  /bin/rm -f "$mark"
fi
exit $code
