#!/usr/bin/env bash
# A real Slurm of one node with accounting, all on loopback: munge, MariaDB on a socket, slurmdbd, slurmctld, slurmd.
#   bash tests/slurm/up.sh DIR && export SLURM_CONF=DIR/slurm.conf      as root; bash tests/slurm/down.sh DIR ends it
# Debian: apt-get install --no-install-recommends slurm-wlm munge slurmdbd mariadb-server
set -euo pipefail
dir=$1
host=$(hostname -s)
mkdir -p "$dir"/{state,spool,log}
export SLURM_CONF="$dir/slurm.conf"

until_true() { for _ in $(seq 150); do "$@" >/dev/null 2>&1 && return; sleep 0.2; done; echo "gave up on: $*" >&2; return 1; }
answers() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# What can be preempted (low) and what preempts it (high), on the same node.
cat >"$SLURM_CONF" <<CONF
ClusterName=loopback
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=cred_expire=10
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
SlurmctldPort=6817
SlurmdPort=6818
StateSaveLocation=$dir/state
SlurmdSpoolDir=$dir/spool
SlurmctldPidFile=$dir/slurmctld.pid
SlurmdPidFile=$dir/slurmd.pid
SlurmctldLogFile=$dir/log/slurmctld.log
SlurmdLogFile=$dir/log/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=2,bf_interval=2
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
JobRequeue=1
KillWait=2
MpiDefault=none
ReturnToService=2
JobAcctGatherType=jobacct_gather/linux
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
NodeName=$host NodeAddr=127.0.0.1 CPUs=$(nproc) RealMemory=$(($(awk '/MemTotal/{print $2}' /proc/meminfo) / 1024 - 512)) State=UNKNOWN
PartitionName=low Nodes=$host Default=YES MaxTime=INFINITE State=UP PriorityTier=1 PreemptMode=REQUEUE
PartitionName=high Nodes=$host MaxTime=INFINITE State=UP PriorityTier=2 PreemptMode=OFF
CONF

cat >"$dir/slurmdbd.conf" <<CONF
AuthType=auth/munge
DbdHost=$host
DbdAddr=127.0.0.1
DbdPort=6819
SlurmUser=root
StorageType=accounting_storage/mysql
StorageHost=localhost
StorageUser=slurm
StoragePass=slurm
StorageLoc=slurm_acct_db
LogFile=$dir/log/slurmdbd.log
PidFile=$dir/slurmdbd.pid
CommunicationParameters=NoInAddrAny
CONF
chmod 600 "$dir/slurmdbd.conf"

if ! munge -n >/dev/null 2>&1; then
  install -d -o munge -g munge -m 0755 /run/munge
  install -d -o munge -g munge -m 0700 /var/log/munge /var/lib/munge
  runuser -u munge -- munged --pid-file=/run/munge/munged.pid
  touch "$dir/munge-is-ours"
fi

# As root, like the rest: the mysql user could not enter a folder of root's own, as `mktemp -d` makes them.
mkdir -p "$dir/mysql"
mariadb-install-db --no-defaults --user=root --datadir="$dir/mysql" --auth-root-authentication-method=socket \
  --skip-test-db >"$dir/log/mariadb-install.log" 2>&1 || { cat "$dir/log/mariadb-install.log" >&2; exit 1; }
sql=(--no-defaults -S "$dir/mysql/socket")
mariadbd --no-defaults --user=root --datadir="$dir/mysql" --socket="$dir/mysql/socket" --skip-networking \
  --pid-file="$dir/mysql/pid" --innodb-buffer-pool-size=64M --innodb-lock-wait-timeout=900 \
  >"$dir/log/mariadb.log" 2>&1 &
until_true mariadb-admin "${sql[@]}" ping
mariadb "${sql[@]}" -e "CREATE DATABASE slurm_acct_db; CREATE USER 'slurm'@'localhost' IDENTIFIED BY 'slurm';
  GRANT ALL ON slurm_acct_db.* TO 'slurm'@'localhost';"
MYSQL_UNIX_PORT="$dir/mysql/socket" slurmdbd
until_true answers 6819
slurmctld
slurmd
until_true bash -c 'sinfo -h -o %T | grep -q idle'
