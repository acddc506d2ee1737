#!/usr/bin/env bash
# A SLURM cluster of this machine alone, on loopback, for tests; needs root and Debian's slurmctld, slurmd, slurm-client, munge.
#   tests/cluster/slurm.sh start /tmp/slurm; export SLURM_CONF=/tmp/slurm/slurm.conf; sinfo; tests/cluster/slurm.sh stop /tmp/slurm
# Partition `high` preempts `low`, whose jobs are queued again.
set -euo pipefail
action=$1 folder=$2
export SLURM_CONF=$folder/slurm.conf

start_controller() {
  slurmctld
  for _ in $(seq 50); do sinfo --noheader 2>/dev/null | grep -q idle && return; sleep 0.2; done
  sinfo
}

case $action in
start)
  mkdir -p "$folder/state" "$folder/spool"
  chmod 755 "$folder"
  host=$(hostname -s)
  cat > "$SLURM_CONF" <<CONF
ClusterName=cifarlab-test
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket=$folder/munge.sock
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
ReturnToService=2
SlurmctldPort=16817
SlurmdPort=16818
SlurmdSpoolDir=$folder/spool
StateSaveLocation=$folder/state
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.log
KillWait=10
SchedulerParameters=batch_sched_delay=1,sched_interval=1,bf_interval=1
NodeName=$host NodeAddr=127.0.0.1 CPUs=2 RealMemory=4000
PartitionName=low Nodes=$host Default=YES PriorityTier=1 MaxTime=INFINITE
PartitionName=high Nodes=$host PriorityTier=2 MaxTime=INFINITE
CONF
  dd if=/dev/urandom of="$folder/munge.key" bs=1 count=1024 status=none
  chmod 400 "$folder/munge.key"
  munged --force --key-file="$folder/munge.key" --socket="$folder/munge.sock" --pid-file="$folder/munged.pid" \
    --log-file="$folder/munged.log" --seed-file="$folder/munged.seed"
  slurmd
  start_controller
  ;;
kill-controller) kill -9 "$(cat "$folder/slurmctld.pid")" ;;
start-controller) start_controller ;;
stop)
  for daemon in slurmctld slurmd munged; do
    if [ -e "$folder/$daemon.pid" ]; then kill "$(cat "$folder/$daemon.pid")" 2>/dev/null || true; fi
  done
  ;;
esac
