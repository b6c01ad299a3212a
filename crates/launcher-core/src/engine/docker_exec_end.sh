# Ends whatever has the mark $1 in its environment, and all of their sessions. Nothing but a POSIX
# shell is needed for it: images have little else in common.
mark=$1 sessions=' ' rounds=0

marked() {
  while IFS= read -r line || [ -n "$line" ]; do
    case $line in *"$mark"*) return 0 ;; esac
  done < "$1/environ"
  return 1
}

# state and sid: the first and fourth word behind the name, which may have any characters
look() {
  read -r stat < "$1/stat" || return 1
  set -- ${stat##*) }
  state=$1 sid=$4
}

while [ "$rounds" -lt 100 ]; do
  rounds=$((rounds + 1)) found=
  for process in /proc/[0-9]*; do
    { marked "$process" && look "$process"; } 2> /dev/null || continue
    found=1
    kill -9 "${process#/proc/}" 2> /dev/null
    # Those of the container's own program are never among them.
    [ "$sid" -gt 1 ] && sessions="$sessions$sid "
  done
  for process in /proc/[0-9]*; do
    { look "$process"; } 2> /dev/null || continue
    case $sessions:$state in *" $sid "*:[!ZX])
      found=1
      kill -9 "${process#/proc/}" 2> /dev/null ;;
    esac
  done
  [ -z "$found" ] && exit 0
done
exit 1
