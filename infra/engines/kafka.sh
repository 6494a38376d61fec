# Apache Kafka: the broker's jars, and an archive of its classes that halves its start. Sourced by install.sh.

kafka_folder() {
  local pom version
  pom=$(<"$here/kafka/pom.xml")
  version=${pom#*<kafka.version>}
  echo "$engines/kafka-${version%%<*}"
}

has_kafka() { cmp -s "$here/kafka/pom.xml" "$(kafka_folder)/pom.xml"; }

install_kafka() {
  local folder new
  folder=$(kafka_folder)
  if ! has_kafka; then
    say "installing Kafka to $folder"
    new=$(mktemp -d "$engines/.kafka.XXXXXX")
    # shellcheck disable=SC2064 # the name as it is now
    trap "rm -rf '$new'" EXIT
    mvn -B -q -ntp -f "$here/kafka/pom.xml" dependency:copy-dependencies \
      -DincludeScope=runtime -DoutputDirectory="$new/lib" </dev/null
    kafka_is_complete "$new/lib" "${folder##*/kafka-}" || { say "Maven left Kafka incomplete"; return 1; }
    cp "$here/kafka/pom.xml" "$new/pom.xml"
    chmod 755 "$new"
    rm -rf "$folder"
    mv -T "$new" "$folder"
    trap - EXIT
  fi
  archive_classes "$folder"
}

kafka_is_complete() {
  local jar
  for jar in "kafka_2.13-$2" "kafka-clients-$2" "kafka-server-$2" "kafka-metadata-$2" scala-library log4j-core log4j-slf4j-impl; do
    compgen -G "$1/$jar*.jar" >/dev/null || return 1
  done
}

# Runs the broker once for the archive of the classes that it loads. Java refuses an archive of another
# Java or of other jars and starts as it would without one, so a failure here is no failure of the whole.
archive_classes() {
  local folder=$1 java release class_path work port password jaas pid
  java=${JAVA_HOME:+$JAVA_HOME/bin/java}
  [ -n "$java" ] && [ -x "$java" ] || java=$(command -v java)
  java=$(readlink -f "$java")
  release=${java%/bin/java}/release
  if [ -e "$folder/classes-sasl.jsa" ] && { [ ! -r "$release" ] || cmp -s "$release" "$folder/classes-sasl.release"; }; then
    return 0
  fi
  say "archiving Kafka's classes for a quick start"
  work=$(mktemp -d "$engines/.archive.XXXXXX")
  # The same order as the program's: sorted by name.
  class_path=$(LC_ALL=C; printf '%s:' "$folder"/lib/*.jar)
  class_path=${class_path%:}
  port=$((20000 + RANDOM % 12000))
  password=$(head -c 16 /dev/urandom | od -An -tx1 | tr -d ' \n')
  jaas="org.apache.kafka.common.security.plain.PlainLoginModule required username=\"archive\" password=\"$password\" user_archive=\"$password\";"
  cat >"$work/server.properties" <<PROPERTIES
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$((port + 1))
listeners=CLIENT://127.0.0.1:$port,CONTROLLER://127.0.0.1:$((port + 1))
advertised.listeners=CLIENT://127.0.0.1:$port
listener.security.protocol.map=CLIENT:SASL_PLAINTEXT,CONTROLLER:SASL_PLAINTEXT
controller.listener.names=CONTROLLER
inter.broker.listener.name=CLIENT
sasl.enabled.mechanisms=PLAIN
sasl.mechanism.inter.broker.protocol=PLAIN
sasl.mechanism.controller.protocol=PLAIN
listener.name.client.plain.sasl.jaas.config=$jaas
listener.name.controller.plain.sasl.jaas.config=$jaas
offsets.topic.replication.factor=1
log.dirs=$work/data
PROPERTIES
  printf '%s\n' 'appender.out.type = Console' 'appender.out.name = out' 'rootLogger.level = info' \
    'rootLogger.appenderRef.out.ref = out' >"$work/log4j2.properties"
  (
    cd "$work"
    exec 9>&- </dev/null >log 2>&1
    kafka() { "$java" -Dlog4j2.configurationFile=log4j2.properties -cp "$class_path" "$@"; }
    kafka kafka.tools.StorageTool format -t 4L6g3nShT-eMCtK--X86sw -c server.properties
    # shellcheck disable=SC2097,SC2098
    "$java" -Xmx512m -XX:+UseG1GC "-XX:ArchiveClassesAtExit=$work/classes.jsa" \
      -Dlog4j2.configurationFile=log4j2.properties -cp "$class_path" kafka.Kafka server.properties &
    pid=$!
    for _ in $(seq 600); do
      if grep -q 'Kafka Server started' log || ! kill -0 $pid 2>/dev/null; then break; fi
      sleep 0.1
    done
    kill $pid 2>/dev/null || true
    wait $pid || true
  ) || true
  # The archive of a Kafka that asked for no password is of no use any more.
  rm -f "$folder/classes.jsa" "$folder/classes.release"
  if [ -s "$work/classes.jsa" ]; then
    mv -f "$work/classes.jsa" "$folder/classes-sasl.jsa"
  else
    say "Java made no archive of classes: Kafka will start, a few seconds slower"
    : >"$folder/classes-sasl.jsa"
  fi
  if [ -r "$release" ]; then cp "$release" "$folder/classes-sasl.release"; fi
  rm -rf "$work"
}
