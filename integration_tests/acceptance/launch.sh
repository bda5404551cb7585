# How a platform starts a connector in its pod, with the same promises and none of its code:
#   - the connector is whatever AIRBYTE_ENTRYPOINT says, run by the shell in another folder;
#   - its two outputs go to pipes that others read;
#   - its exit code ends up in exitCode.txt, which appears in one piece;
#   - a file called TERMINATED kills the shell around it, and the answer is 143.
# $1 is the command with its flags.

if [ -z "$AIRBYTE_ENTRYPOINT" ]; then
  echo "AIRBYTE_ENTRYPOINT is not set" >&2
  exit 127
fi

(
  eval "$AIRBYTE_ENTRYPOINT $1" >stdout 2>stderr </dev/null
  echo $? >TEMP_EXIT_CODE.txt
) &
connector=$!

(
  until [ -f TERMINATED ] || [ -f exitCode.txt ]; do sleep 0.2; done
  [ -f exitCode.txt ] || kill "$connector"
) &

wait "$connector"
code=$?
[ -f TEMP_EXIT_CODE.txt ] || echo "$code" >TEMP_EXIT_CODE.txt
mv TEMP_EXIT_CODE.txt exitCode.txt
exit "$(cat exitCode.txt)"
