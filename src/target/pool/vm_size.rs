//! What a machine size of the cloud stands for: cores, memory, GPUs.

use crate::diagnostic::nearest;

/// What one node of a pool offers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Node {
    /// Virtual cores, at least 1.
    pub cpus: u32,
    /// Memory in GiB.
    pub memory_gib: f64,
    /// GPUs.
    pub gpus: u32,
}

/// Name (without `Standard_`, in the vendor's spelling), virtual cores, GiB, GPUs, type of GPU.
type Row = (&'static str, u32, f64, u32, &'static str);

/// The sizes that training files name, after the vendor's published size tables.
const SIZES: &[Row] = &[
    ("D1_v2", 1, 3.5, 0, ""),
    ("D2_v2", 2, 7.0, 0, ""),
    ("D3_v2", 4, 14.0, 0, ""),
    ("D4_v2", 8, 28.0, 0, ""),
    ("D5_v2", 16, 56.0, 0, ""),
    ("D11_v2", 2, 14.0, 0, ""),
    ("D12_v2", 4, 28.0, 0, ""),
    ("D13_v2", 8, 56.0, 0, ""),
    ("D14_v2", 16, 112.0, 0, ""),
    ("DS1_v2", 1, 3.5, 0, ""),
    ("DS2_v2", 2, 7.0, 0, ""),
    ("DS3_v2", 4, 14.0, 0, ""),
    ("DS4_v2", 8, 28.0, 0, ""),
    ("DS5_v2", 16, 56.0, 0, ""),
    ("DS11_v2", 2, 14.0, 0, ""),
    ("DS12_v2", 4, 28.0, 0, ""),
    ("DS13_v2", 8, 56.0, 0, ""),
    ("DS14_v2", 16, 112.0, 0, ""),
    ("D2_v3", 2, 8.0, 0, ""),
    ("D4_v3", 4, 16.0, 0, ""),
    ("D8_v3", 8, 32.0, 0, ""),
    ("D16_v3", 16, 64.0, 0, ""),
    ("D32_v3", 32, 128.0, 0, ""),
    ("D64_v3", 64, 256.0, 0, ""),
    ("D2s_v3", 2, 8.0, 0, ""),
    ("D4s_v3", 4, 16.0, 0, ""),
    ("D8s_v3", 8, 32.0, 0, ""),
    ("D16s_v3", 16, 64.0, 0, ""),
    ("D32s_v3", 32, 128.0, 0, ""),
    ("D64s_v3", 64, 256.0, 0, ""),
    ("F2s_v2", 2, 4.0, 0, ""),
    ("F4s_v2", 4, 8.0, 0, ""),
    ("F8s_v2", 8, 16.0, 0, ""),
    ("F16s_v2", 16, 32.0, 0, ""),
    ("F32s_v2", 32, 64.0, 0, ""),
    ("F64s_v2", 64, 128.0, 0, ""),
    ("F72s_v2", 72, 144.0, 0, ""),
    ("E2s_v3", 2, 16.0, 0, ""),
    ("E4s_v3", 4, 32.0, 0, ""),
    ("E8s_v3", 8, 64.0, 0, ""),
    ("E16s_v3", 16, 128.0, 0, ""),
    ("E32s_v3", 32, 256.0, 0, ""),
    ("NC6", 6, 56.0, 1, "K80"),
    ("NC12", 12, 112.0, 2, "K80"),
    ("NC24", 24, 224.0, 4, "K80"),
    ("NC24r", 24, 224.0, 4, "K80"),
    ("NC6s_v2", 6, 112.0, 1, "P100"),
    ("NC12s_v2", 12, 224.0, 2, "P100"),
    ("NC24s_v2", 24, 448.0, 4, "P100"),
    ("NC6s_v3", 6, 112.0, 1, "V100"),
    ("NC12s_v3", 12, 224.0, 2, "V100"),
    ("NC24s_v3", 24, 448.0, 4, "V100"),
    ("NC24rs_v3", 24, 448.0, 4, "V100"),
    ("ND6s", 6, 112.0, 1, "P40"),
    ("ND12s", 12, 224.0, 2, "P40"),
    ("ND24s", 24, 448.0, 4, "P40"),
    ("ND40rs_v2", 40, 672.0, 8, "V100"),
    ("NV6", 6, 56.0, 1, "M60"),
    ("NV12", 12, 112.0, 2, "M60"),
    ("NV24", 24, 224.0, 4, "M60"),
    ("NC4as_T4_v3", 4, 28.0, 1, "T4"),
    ("NC8as_T4_v3", 8, 56.0, 1, "T4"),
    ("NC16as_T4_v3", 16, 110.0, 1, "T4"),
    ("NC64as_T4_v3", 64, 440.0, 4, "T4"),
    ("NC24ads_A100_v4", 24, 220.0, 1, "A100"),
    ("NC48ads_A100_v4", 48, 440.0, 2, "A100"),
    ("NC96ads_A100_v4", 96, 880.0, 4, "A100"),
    ("ND96asr_v4", 96, 900.0, 8, "A100"),
];

fn bare(name: &str) -> &str {
    const PREFIX: &str = "standard_";
    match name.get(..PREFIX.len()) {
        Some(start) if start.eq_ignore_ascii_case(PREFIX) => name.get(PREFIX.len()..).unwrap_or(name),
        _ => name,
    }
}

/// The node that `name` stands for; case and the `Standard_` in front do not matter. `None` if the size is not known.
pub fn node(name: &str) -> Option<Node> {
    let wanted = bare(name.trim());
    SIZES
        .iter()
        .find(|(known, ..)| known.eq_ignore_ascii_case(wanted))
        .map(|&(_, cpus, memory_gib, gpus, _)| Node {
            cpus,
            memory_gib,
            gpus,
        })
}

/// The known size that was probably meant, with its `Standard_`.
pub fn near(name: &str) -> Option<String> {
    nearest(bare(name.trim()), SIZES.iter().map(|(known, ..)| *known))
        .map(|known| format!("Standard_{known}"))
}

/// Every known size: name with `Standard_`, node, type of GPU (empty without one).
pub fn all() -> impl Iterator<Item = (String, Node, &'static str)> {
    SIZES.iter().map(|&(name, cpus, memory_gib, gpus, kind)| {
        let node = Node {
            cpus,
            memory_gib,
            gpus,
        };
        (format!("Standard_{name}"), node, kind)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_and_prefix_do_not_matter() {
        let expected = Some(Node {
            cpus: 4,
            memory_gib: 14.0,
            gpus: 0,
        });
        for name in ["STANDARD_D3_V2", "Standard_D3_v2", "d3_v2", " D3_V2 "] {
            assert_eq!(node(name), expected, "{name}");
        }
        assert_eq!(node("nc24ads_a100_v4").map(|node| node.gpus), Some(1));
        assert_eq!(node("STANDARD_"), None);
        assert_eq!(node("ü"), None);
    }

    #[test]
    fn a_misspelt_size_has_a_neighbour() {
        assert_eq!(near("STANDARD_D3V2").as_deref(), Some("Standard_D3_v2"));
        assert_eq!(near("standard_nc6s_v33").as_deref(), Some("Standard_NC6s_v3"));
        assert_eq!(near("a completely different thing"), None);
    }

    #[test]
    fn names_are_distinct_and_sizes_plausible() {
        let mut names: Vec<String> = all().map(|(name, ..)| name.to_lowercase()).collect();
        let count = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), count);
        for (name, node, gpu) in all() {
            assert!(node.cpus >= 1 && node.memory_gib >= 2.0, "{name}");
            assert_eq!(node.gpus == 0, gpu.is_empty(), "{name}");
        }
    }
}
