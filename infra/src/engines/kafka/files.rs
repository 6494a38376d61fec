//! What Kafka reads at its start.

use std::path::Path;

use rand::RngExt;

/// Where the node listens, on 127.0.0.1.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ports {
    /// For clients.
    pub(super) broker: u16,
    /// For itself.
    pub(super) controller: u16,
}

/// Warnings and what the server says of its own life, on standard output.
pub(super) const LOG4J2: &str = "\
status = error
appender.out.type = Console
appender.out.name = out
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = %d{yyyy-MM-dd'T'HH:mm:ss.SSS}{UTC}Z %p %c{1}: %m%n
rootLogger.level = warn
rootLogger.appenderRef.out.ref = out
logger.server.name = kafka.server.KafkaRaftServer
logger.server.level = info
";

/// The name that clients and the node itself give.
pub(super) const USER: &str = "pulsetrail";

/// The node's settings. The password is one of hexadecimal digits: nothing in it has a meaning of its own here.
pub(super) fn server_properties(data: &Path, ports: Ports, password: &str) -> String {
    let Ports { broker, controller } = ports;
    // A backslash begins an escape in a properties file.
    let jaas = format!(
        "org.apache.kafka.common.security.plain.PlainLoginModule required \
         username=\"{USER}\" password=\"{password}\" user_{USER}=\"{password}\";"
    );
    let data = data.display().to_string().replace('\\', "\\\\");
    format!(
        "\
# Written at every start.
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=CLIENT://127.0.0.1:{broker},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=CLIENT://127.0.0.1:{broker}
listener.security.protocol.map=CLIENT:SASL_PLAINTEXT,CONTROLLER:SASL_PLAINTEXT
controller.listener.names=CONTROLLER
inter.broker.listener.name=CLIENT
sasl.enabled.mechanisms=PLAIN
sasl.mechanism.inter.broker.protocol=PLAIN
sasl.mechanism.controller.protocol=PLAIN
listener.name.client.plain.sasl.jaas.config={jaas}
listener.name.controller.plain.sasl.jaas.config={jaas}
log.dirs={data}
auto.create.topics.enable=false
# One node.
offsets.topic.replication.factor=1
offsets.topic.num.partitions=10
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=10
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
# A consumer that died is replaced soon, and a new group starts at once.
group.min.session.timeout.ms=3000
group.initial.rebalance.delay.ms=0
# A node that was killed is let in again without waiting for its former session.
broker.heartbeat.interval.ms=500
broker.session.timeout.ms=2000
# A record that says nothing would be written to the disk twice a second, which commands wait for.
metadata.max.idle.interval.ms=0
# Of a single replica the high watermark is the end of its log, whatever a file says.
replica.high.watermark.checkpoint.interval.ms=60000
# The heap is small.
log.cleaner.dedupe.buffer.size=16777216
"
    )
}

/// A new cluster's id: 16 random bytes in URL-safe base64 without padding, of which Kafka refuses those
/// that begin with a dash.
pub(super) fn cluster_id() -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    // 22 characters carry 132 bits; the last has only 2 of the 128.
    let draw =
        |of: usize, step: usize| char::from(ALPHABET[rand::rng().random_range(0..of) * step]);
    let first = draw(62, 1);
    let middle: String = (0..20).map(|_| draw(64, 1)).collect();
    format!("{first}{middle}{}", draw(4, 16))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_id_is_sixteen_bytes_in_base64() {
        for _ in 0..100 {
            let id = cluster_id();
            assert_eq!(id.len(), 22);
            assert!(id.ends_with(['A', 'Q', 'g', 'w']), "{id}");
            assert!(!id.starts_with('-'), "{id}");
        }
    }
}
