//! Every key of a run configuration with its type and default, in canonical camelCase and in the order of serialisation.

use serde_json::{Map, Value as Json};

/// A key of a section.
#[derive(Debug)]
pub(super) struct Field {
    /// Canonical spelling.
    pub key: &'static str,
    /// What may stand there.
    pub kind: Kind,
}

/// What may stand at a key, with its default.
#[derive(Debug)]
pub(super) enum Kind {
    /// Text; other scalars are taken as written.
    Text(Option<&'static str>),
    /// A scalar that keeps its type.
    Scalar,
    /// One of some words, compared without case, kept as written.
    Word(&'static [&'static str], Option<&'static str>),
    /// A whole number, at least `low`.
    Int {
        /// Smallest value.
        low: i64,
        /// Default.
        default: Option<i64>,
    },
    /// `true` or `false`.
    Bool(Option<bool>),
    /// A list of texts.
    Texts(&'static [&'static str]),
    /// A list of maps with fixed keys.
    Records(&'static [Field]),
    /// A map with fixed keys.
    Section(&'static [Field]),
    /// A map with fixed keys that is null when absent.
    OptionalSection(&'static [Field]),
    /// A map from the user's names to maps with fixed keys.
    Named(&'static [Field]),
    /// A map from the user's names to texts, with what it holds when nothing is given.
    Variables(&'static [(&'static str, &'static str)]),
    /// Anything; kept as it is.
    Open,
    /// A map of anything; kept as it is.
    OpenMap(&'static [(&'static str, Literal)]),
    /// Anything, without effect here; kept as it is, null when absent, left out of the defaults.
    Ignored,
}

/// A constant of a default.
#[derive(Debug)]
pub(super) enum Literal {
    /// Text.
    Text(&'static str),
    /// A whole number.
    Int(i64),
}

impl Kind {
    /// The value when the key is absent or null.
    pub(super) fn default(&self) -> Json {
        match self {
            Self::Text(default) | Self::Word(_, default) => default.map_or(Json::Null, Json::from),
            Self::Int { default, .. } => default.map_or(Json::Null, Json::from),
            Self::Bool(default) => default.map_or(Json::Null, Json::from),
            Self::Texts(items) => items.iter().map(|item| Json::from(*item)).collect(),
            Self::Records(_) => Json::Array(Vec::new()),
            Self::Section(fields) => Json::Object(defaults(fields)),
            Self::Named(_) => Json::Object(Map::new()),
            Self::Variables(pairs) => Json::Object(
                pairs
                    .iter()
                    .map(|(name, value)| ((*name).to_owned(), Json::from(*value)))
                    .collect(),
            ),
            Self::OpenMap(pairs) => Json::Object(
                pairs
                    .iter()
                    .map(|(name, value)| {
                        let value = match value {
                            Literal::Text(text) => Json::from(*text),
                            Literal::Int(int) => Json::from(*int),
                        };
                        ((*name).to_owned(), value)
                    })
                    .collect(),
            ),
            Self::Scalar | Self::OptionalSection(_) | Self::Open | Self::Ignored => Json::Null,
        }
    }
}

/// A section in which nothing is given.
pub(super) fn defaults(fields: &[Field]) -> Map<String, Json> {
    fields
        .iter()
        .filter(|field| !matches!(field.kind, Kind::Ignored))
        .map(|field| (field.key.to_owned(), field.kind.default()))
        .collect()
}

const fn field(key: &'static str, kind: Kind) -> Field {
    Field { key, kind }
}
const fn text(key: &'static str) -> Field {
    field(key, Kind::Text(None))
}
const fn ignored(key: &'static str) -> Field {
    field(key, Kind::Ignored)
}
const fn int(key: &'static str, low: i64, default: Option<i64>) -> Field {
    field(key, Kind::Int { low, default })
}
const fn flag(key: &'static str, default: bool) -> Field {
    field(key, Kind::Bool(Some(default)))
}

/// `framework`.
pub(super) const FRAMEWORKS: &[&str] = &[
    "Python",
    "PySpark",
    "CNTK",
    "TensorFlow",
    "PyTorch",
    "R",
    "TensorFlowParameterServer",
    "PythonMpi",
    "PythonIntelMpi",
    "PySparkInteractive",
];

/// `communicator`.
pub(super) const COMMUNICATORS: &[&str] = &[
    "None",
    "ParameterServer",
    "OpenMpi",
    "IntelMpi",
    "Mpi",
    "Gloo",
    "Nccl",
];

/// The whole file. `script`, `arguments`, `environment` and `command` are read by hand.
pub(super) static TOP: &[Field] = &[
    text("script"),
    ignored("arguments"),
    field("target", Kind::Text(Some("local"))),
    field("framework", Kind::Word(FRAMEWORKS, Some("Python"))),
    field("communicator", Kind::Word(COMMUNICATORS, Some("None"))),
    field("autoPrepareEnvironment", Kind::Ignored),
    ignored("prepareEnvironment"),
    ignored("jobName"),
    ignored("exposedPorts"),
    ignored("batchAi"),
    ignored("containerInstance"),
    int("maxRunDurationSeconds", 1, None),
    int("nodeCount", 1, Some(1)),
    int("priority", i64::MIN, None),
    ignored("environment"),
    field("history", Kind::Section(HISTORY)),
    field("spark", Kind::Section(SPARK)),
    field("docker", Kind::Section(DOCKER_RUNTIME)),
    field(
        "hdi",
        Kind::Section(&[field(
            "yarnDeployMode",
            Kind::Word(&["cluster", "client", "None"], Some("cluster")),
        )]),
    ),
    field(
        "tensorflow",
        Kind::Section(&[
            int("workerCount", 0, Some(1)),
            int("parameterServerCount", 0, Some(1)),
        ]),
    ),
    field(
        "mpi",
        Kind::Section(&[
            int("processCountPerNode", 1, Some(1)),
            int("nodeCount", 1, Some(1)),
        ]),
    ),
    field(
        "pytorch",
        Kind::Section(&[
            field(
                "communicationBackend",
                Kind::Word(&["nccl", "gloo"], Some("nccl")),
            ),
            int("processCount", 1, None),
            int("nodeCount", 1, Some(1)),
        ]),
    ),
    field(
        "paralleltask",
        Kind::Section(&[
            int("maxRetriesPerWorker", 0, Some(0)),
            int("workerCountPerNode", 1, Some(1)),
            field("terminalExitCodes", Kind::Open),
        ]),
    ),
    field("dataReferences", Kind::Named(DATA_REFERENCE)),
    field("data", Kind::Named(DATA)),
    field("datacaches", Kind::Records(&[])),
    field("outputData", Kind::Named(OUTPUT_DATA)),
    text("sourceDirectoryDataStore"),
    field("amlcompute", Kind::Section(AMLCOMPUTE)),
    field("autoClusterComputeSpecification", Kind::Open),
    field("kubernetescompute", Kind::Section(&[text("instanceType")])),
    flag("credentialPassthrough", false),
    ignored("command"),
    field("environmentVariables", Kind::Variables(&[])),
    field("applicationEndpoints", Kind::OpenMap(&[])),
];

static HISTORY: &[Field] = &[
    flag("outputCollection", true),
    flag("snapshotProject", true),
    field("directoriesToWatch", Kind::Texts(&["logs"])),
    ignored("ambientAuthentication"),
];

static SPARK: &[Field] = &[field(
    "configuration",
    Kind::OpenMap(&[
        ("spark.app.name", Literal::Text("Azure ML Experiment")),
        ("spark.yarn.maxAppAttempts", Literal::Int(1)),
    ]),
)];

static DOCKER_RUNTIME: &[Field] = &[
    flag("useDocker", false),
    flag("sharedVolumes", true),
    field("arguments", Kind::Texts(&[])),
    field("shmSize", Kind::Text(Some("2g"))),
];

static AMLCOMPUTE: &[Field] = &[
    text("vmSize"),
    field("vmPriority", Kind::Word(&["dedicated", "lowpriority"], None)),
    flag("retainCluster", false),
    text("name"),
    int("clusterMaxNodeCount", 1, None),
];

/// `dataReferences.<name>.mode`.
pub(super) const MODES: &[&str] = &["mount", "download", "upload"];

static DATA_REFERENCE: &[Field] = &[
    text("dataStoreName"),
    field("mode", Kind::Word(MODES, Some("mount"))),
    text("pathOnDataStore"),
    text("pathOnCompute"),
    flag("overwrite", false),
];

static DATA_LOCATION: &[Field] = &[
    field(
        "dataset",
        Kind::OptionalSection(&[text("id"), text("name"), field("version", Kind::Scalar)]),
    ),
    field(
        "dataPath",
        Kind::OptionalSection(&[text("datastoreName"), text("relativePath")]),
    ),
    field(
        "uri",
        Kind::OptionalSection(&[text("path"), field("isFile", Kind::Bool(None))]),
    ),
];

static DATA: &[Field] = &[
    field("dataLocation", Kind::OptionalSection(DATA_LOCATION)),
    field("createOutputDirectories", Kind::Bool(None)),
    field(
        "mechanism",
        Kind::Word(&["direct", "mount", "download", "upload"], Some("direct")),
    ),
    text("environmentVariableName"),
    text("pathOnCompute"),
    field("overwrite", Kind::Bool(None)),
    field("options", Kind::Open),
];

static OUTPUT_DATA: &[Field] = &[
    field("outputLocation", Kind::OptionalSection(DATA_LOCATION)),
    field("mechanism", Kind::Word(&["mount", "upload"], Some("mount"))),
    field("additionalOptions", Kind::Open),
];

/// `environment`, inline or in a file of its own.
pub(super) static ENVIRONMENT: &[Field] = &[
    text("name"),
    text("version"),
    field(
        "environmentVariables",
        Kind::Variables(&[("EXAMPLE_ENV_VAR", "EXAMPLE_VALUE")]),
    ),
    field("python", Kind::Section(PYTHON)),
    field("docker", Kind::Section(DOCKER)),
    field(
        "spark",
        Kind::Section(&[
            field("repositories", Kind::Texts(&[])),
            field(
                "packages",
                Kind::Records(&[
                    text("group"),
                    text("artifact"),
                    field("version", Kind::Text(None)),
                ]),
            ),
            flag("precachePackages", true),
        ]),
    ),
    field("databricks", Kind::Section(DATABRICKS)),
    field("r", Kind::OptionalSection(R)),
    text("inferencingStackVersion"),
    text("assetId"),
];

static PYTHON: &[Field] = &[
    flag("userManagedDependencies", false),
    field("interpreterPath", Kind::Text(Some("python"))),
    text("condaDependenciesFile"),
    field("condaDependencies", Kind::Ignored),
    text("baseCondaEnvironment"),
];

static DOCKER: &[Field] = &[
    flag("enabled", false),
    text("baseImage"),
    text("baseDockerfile"),
    field(
        "buildContext",
        Kind::OptionalSection(&[
            text("locationType"),
            text("location"),
            field("dockerfilePath", Kind::Text(Some("Dockerfile"))),
        ]),
    ),
    flag("sharedVolumes", true),
    ignored("gpuSupport"),
    field("shmSize", Kind::Text(Some("2g"))),
    field("arguments", Kind::Texts(&[])),
    field(
        "baseImageRegistry",
        Kind::Section(&[
            text("address"),
            text("username"),
            text("password"),
            field("registryIdentity", Kind::Open),
        ]),
    ),
    field(
        "platform",
        Kind::Section(&[
            field("os", Kind::Text(Some("Linux"))),
            field("architecture", Kind::Text(Some("amd64"))),
        ]),
    ),
    ignored("preparation"),
];

static DATABRICKS: &[Field] = &[
    field(
        "mavenLibraries",
        Kind::Records(&[
            text("coordinates"),
            text("repo"),
            field("exclusions", Kind::Texts(&[])),
        ]),
    ),
    field("pypiLibraries", Kind::Records(&[text("package"), text("repo")])),
    field("rcranLibraries", Kind::Records(&[text("package"), text("repo")])),
    field("jarLibraries", Kind::Records(&[text("library")])),
    field("eggLibraries", Kind::Records(&[text("library")])),
];

static R: &[Field] = &[
    text("rVersion"),
    field("userManaged", Kind::Bool(Some(false))),
    text("rscriptPath"),
    text("snapshotDate"),
    field("cranPackages", Kind::Open),
    field("githubPackages", Kind::Open),
    field("customUrlPackages", Kind::Open),
    field("bioconductorPackages", Kind::Open),
];
