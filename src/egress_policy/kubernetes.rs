//! The table for Kubernetes: a `NetworkPolicy` (networking.k8s.io/v1).

use std::fmt::Write as _;

use ipnet::IpNet;
use pulsetrail_domain::egress::EgressPolicy;

use super::remark;

/// Which pods it is for, and what they need besides targets.
const HEAD: &str = "\
# The shield's table for Kubernetes: where a prober's pods may connect to.
# Two things it cannot say: the installation's own addresses inside an allowed range, and ISATAP
# addresses (RFC 5214). The shield refuses both by itself.
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: pulsetrail-prober-egress
spec:
  podSelector:
    matchLabels:
      app.kubernetes.io/name: pulsetrail
      app.kubernetes.io/component: prober
  policyTypes:
    - Egress
  egress:
    # The cluster's name servers.
    - to:
        - namespaceSelector:
            matchLabels:
              kubernetes.io/metadata.name: kube-system
      ports:
        - port: 53
          protocol: UDP
        - port: 53
          protocol: TCP
";

/// The policy as YAML.
pub(super) fn render(policy: &EgressPolicy, pass: &[IpNet]) -> String {
    let mut text = String::from(HEAD);
    // Writing to a text does not fail.
    if !pass.is_empty() {
        text.push_str("    # What the prober needs itself.\n    - to:\n");
        for net in pass {
            let _ = writeln!(text, "        - ipBlock:\n            cidr: \"{net}\"");
        }
    }
    text.push_str("    # Targets.\n    - to:\n");
    for opening in policy.openings() {
        let net = opening.net;
        let _ = writeln!(text, "        - ipBlock:\n            cidr: \"{net}\"{}", remark(net));
        if opening.except.is_empty() {
            continue;
        }
        text.push_str("            except:\n");
        for net in opening.except {
            let _ = writeln!(text, "              - \"{net}\"{}", remark(net));
        }
    }
    text
}
