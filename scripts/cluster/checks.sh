# Sourced by slurm.sh and hosts.sh. $counts = file of the counts.
passed() { echo "  ok       $*"; echo "passed $*" >>"$counts"; }
skipped() { echo "  skipped  $*"; echo "skipped $*" >>"$counts"; }
failed() { echo "  FAILED   $*"; echo "failed $*" >>"$counts"; }

# same WHAT A B
same() { if [ -n "$2" ] && [ "$2" = "$3" ]; then passed "$1"; else failed "$1: '$2' and '$3'"; fi; }

# within SECONDS COMMAND...: until the command is true; false when it is not in time
within() {
    end=$(($(date +%s) + $1)); shift
    until "$@"; do
        [ "$(date +%s)" -lt $end ] || return 1
        sleep 0.5
    done
}

# digest_of DIR
digest_of() { "$demarc" info "$1/model.h5" --json 2>/dev/null | sed -n 's/.*"digest": "\([0-9a-f]*\)".*/\1/p' | head -n 1; }
