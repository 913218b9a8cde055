#!/bin/bash
# A fit under a real Slurm of one node: stopped by its time limit, requeued by scripts/slurm/demarc.sbatch, finished.
# Called by cluster.sh: slurm.sh DEMARC FOLDER COUNTS
#
# Slurm runs from FOLDER: its own munge key and socket, its own ports and state; nothing of the system's is touched. The
# node claims 4 cores whatever it has (config_overrides), tracks processes by /proc (no cgroup is needed), and lets a job
# run again 5 s after it was requeued (cred_expire; 2 min by default).
set -u
demarc=$1 folder=$2 counts=$3
here=$(cd "$(dirname "$0")" && pwd)
. "$here/checks.sh"
echo "Slurm, one node"

for tool in munged slurmctld slurmd sbatch srun scontrol; do
    command -v $tool >/dev/null || { skipped "Slurm: there is no $tool (Debian: slurm-wlm, munge)"; exit 0; }
done
[ "$(id -u)" -eq 0 ] || { skipped "Slurm: starting slurmd needs root"; exit 0; }

cd "$folder" || exit 1
host=$(hostname -s)
mkdir state spool
head -c 128 /dev/urandom >munge.key && chmod 400 munge.key
cat >slurm.conf <<END
ClusterName=demarc
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CryptoType=crypto/munge
AuthInfo=socket=$folder/munge.socket,cred_expire=5
SlurmctldPort=27817
SlurmdPort=27818
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmdParameters=config_overrides
SchedulerParameters=sched_interval=2,bf_interval=5
KillWait=20
ReturnToService=2
NodeName=$host NodeAddr=127.0.0.1 CPUs=4 State=UNKNOWN
PartitionName=demarc Nodes=$host Default=YES MaxTime=INFINITE State=UP
END
export SLURM_CONF=$folder/slurm.conf
# Slurm's tools look for the socket there, whatever the configuration says.
export MUNGE_SOCKET=$folder/munge.socket

stop() {
    scancel --user=root 2>/dev/null
    sleep 1
    for daemon in slurmd slurmctld munged; do
        [ -s $daemon.pid ] && kill "$(cat $daemon.pid)" 2>/dev/null
    done
    sleep 1
}
trap stop EXIT

munged --key-file="$folder/munge.key" --socket="$MUNGE_SOCKET" --pid-file="$folder/munged.pid" \
    --log-file="$folder/munged.log" --seed-file="$folder/munged.seed" --force 2>munged.err ||
    { skipped "Slurm: munged does not start here: $(tail -n 1 munged.err)"; exit 0; }
slurmctld -c && slurmd -c
idle() { [ "$(sinfo -h -o %T 2>/dev/null)" = idle ]; }
within 30 idle || { skipped "Slurm: the node does not come up: $(tail -qn 1 slurmctld.log slurmd.log | tr '\n' ' ')"; exit 0; }
echo "  $(scontrol --version), $(srun --mpi=list 2>&1 | grep -o 'pmix_v[0-9]*' | head -n 1)"
srun --mpi=list 2>&1 | grep -q pmix || { skipped "Slurm: srun has no pmix here"; exit 0; }

# Enough restarts for about 100 s on two ranks: Slurm looks at time limits only twice a minute.
export PATH="$(dirname "$demarc"):$PATH"
fit="--segments 20 --algorithm lloyd --tolerance 0 --threads 1"
"$demarc" generate in.h5 --customers 200000 --features 16 --quiet >generate.log || exit 1
begin=$(date +%s%N)
srun --mpi=pmix --ntasks=2 demarc fit in.h5 $fit --restarts 2 --out probe --quiet >/dev/null 2>probe.err
code=$?
taken=$((($(date +%s%N) - begin) / 1000000))
if [ $code -eq 0 ]; then passed "srun starts two ranks by pmix"; else failed "srun: exit $code: $(tail -n 1 probe.err)"; exit 0; fi
restarts=$((2 * 100000 / taken + 1))

export DATA=$folder/in.h5 OUT=$folder/run FIT="$fit --restarts $restarts --progress never"
job=$(sbatch --parsable --nodes=1 --ntasks-per-node=2 --cpus-per-task=1 --mem=0 --time=1 --signal=TERM@10 \
    --output="$folder/job.log" "$here/../slurm/demarc.sbatch") || { failed "sbatch"; exit 0; }
echo "  job $job: k-means with $restarts restarts, limit of one minute"

field() { scontrol show job "$job" 2>/dev/null | grep -o "\b$1=[^ ]*" | cut -d= -f2; }
requeued() { [ "$(field Restarts)" -ge 1 ] 2>/dev/null; }
ended() { case $(field JobState) in COMPLETED | FAILED | CANCELLED | TIMEOUT | NODE_FAIL) ;; *) false ;; esac }
within 120 requeued
if requeued; then passed "stopped at the time limit and requeued"; else failed "not requeued: $(field JobState): $(tail -n 2 job.log)"; fi

# The same without interruption, in another layout, beside it.
"$demarc" fit in.h5 $fit --restarts $restarts --out plain --quiet >plain.log 2>&1 &
within 500 ended
same "the job ends well" COMPLETED "$(field JobState)"
wait $!
echo "  interrupted $(field Restarts) times, $(grep -c 'back into the queue' job.log) of them with a checkpoint"
same "the same digest as without interruption" "$(digest_of run)" "$(digest_of plain)"
sed -n '/^demarc: stopped/p; /back into the queue/p; /^resumed/p' job.log | head -n 6 | sed 's/^/  | /' # the job's own words
grep '^demarc: ' job.log | grep -v '^demarc: stopped' | head -n 5 # anything unforeseen

# A rank that dies takes its job with it.
rm -rf run
sbatch --parsable --nodes=1 --ntasks-per-node=2 --cpus-per-task=1 --mem=0 --time=5 --signal=TERM@10 --no-requeue \
    --output="$folder/killed.log" "$here/../slurm/demarc.sbatch" >killed.id
job=$(cat killed.id)
ranks() { pgrep -f "^[^ ]*demarc fit $DATA .*--out $OUT " ; }
two_ranks() { [ "$(ranks | wc -l)" -ge 2 ]; }
if within 60 two_ranks; then
    sleep 3
    kill -KILL "$(ranks | head -n 1)"
    if within 90 ended; then same "a killed rank ends the job" FAILED "$(field JobState)"; else failed "a killed rank: the job goes on"; fi
else
    failed "the job of the killed rank does not start: $(field JobState) $(field Reason)"
fi
exit 0
