//! Conda packages that PyPI has too, for machines without conda.
//!
//! Most conda files of Azure ML projects name a handful of packages that are the same on PyPI. Only names on this list are taken
//! from there: of others nobody can know whether the package of that name is the same thing.

/// Same name on both sides.
const SAME: [&str; 96] = [
    "absl-py",
    "aiohttp",
    "attrs",
    "beautifulsoup4",
    "bokeh",
    "boto3",
    "catboost",
    "certifi",
    "click",
    "cloudpickle",
    "cython",
    "dask",
    "datasets",
    "dill",
    "evaluate",
    "fastparquet",
    "filelock",
    "flask",
    "fsspec",
    "gensim",
    "gpytorch",
    "h5py",
    "hyperopt",
    "imageio",
    "imbalanced-learn",
    "ipykernel",
    "ipython",
    "jinja2",
    "joblib",
    "jsonschema",
    "jupyter",
    "keras",
    "lightgbm",
    "lightning",
    "llvmlite",
    "loguru",
    "lxml",
    "matplotlib",
    "mlflow",
    "mlflow-skinny",
    "mypy",
    "networkx",
    "nltk",
    "notebook",
    "numba",
    "numexpr",
    "numpy",
    "openpyxl",
    "optuna",
    "packaging",
    "pandas",
    "pillow",
    "plotly",
    "polars",
    "prophet",
    "protobuf",
    "psutil",
    "pyarrow",
    "pydantic",
    "pyod",
    "pytest",
    "python-dateutil",
    "pytorch-lightning",
    "pytz",
    "pyyaml",
    "regex",
    "requests",
    "rich",
    "safetensors",
    "scikit-image",
    "scikit-learn",
    "scipy",
    "seaborn",
    "sentencepiece",
    "setuptools",
    "shap",
    "six",
    "skl2onnx",
    "spacy",
    "sqlalchemy",
    "statsmodels",
    "sympy",
    "tabulate",
    "tensorboard",
    "tensorflow",
    "threadpoolctl",
    "tokenizers",
    "torchmetrics",
    "torchvision",
    "tqdm",
    "transformers",
    "typing-extensions",
    "ujson",
    "wheel",
    "xgboost",
    "xlrd",
];

/// Another name on PyPI.
const RENAMED: [(&str, &str); 12] = [
    ("category_encoders", "category-encoders"),
    ("fbprophet", "prophet"),
    ("matplotlib-base", "matplotlib"),
    ("opencv", "opencv-python-headless"),
    ("py-opencv", "opencv-python-headless"),
    ("py-xgboost", "xgboost"),
    ("py-xgboost-cpu", "xgboost"),
    ("pytorch", "torch"),
    ("tensorflow-cpu", "tensorflow"),
    ("tensorflow-gpu", "tensorflow"),
    ("torchaudio", "torchaudio"),
    ("typing_extensions", "typing-extensions"),
];

/// Parts of another package's wheel on PyPI, or nothing there.
const CONTAINED: [&str; 5] = ["cpuonly", "cudatoolkit", "cudnn", "nomkl", "pytorch-cuda"];

/// The requirement of pip for a conda package as written (`conda-forge::scikit-learn=0.24`): `Some("")` if nothing is to be installed
/// for it, `None` if it is not known to be the same on PyPI or its version cannot be said there.
pub(super) fn requirement(package: &str) -> Option<String> {
    let text = package.rsplit_once("::").map_or(package, |(_, bare)| bare).trim();
    let at = text
        .find(|letter: char| "=<>!~ ".contains(letter))
        .unwrap_or(text.len());
    let (name, version) = text.split_at_checked(at)?;
    let name = name.to_ascii_lowercase();
    if CONTAINED.contains(&name.as_str()) {
        return Some(String::new());
    }
    let found = RENAMED
        .iter()
        .find(|(conda, _)| *conda == name)
        .map(|(_, pypi)| *pypi)
        .or_else(|| SAME.into_iter().find(|same| *same == name))?;
    Some(format!("{found}{}", constraint(version)?))
}

/// A conda version in the words of pip: one `=` is "begins with", a second `=` names a build.
fn constraint(version: &str) -> Option<String> {
    let version: String = version.chars().filter(|letter| !letter.is_whitespace()).collect();
    if version.contains('|') {
        return None;
    }
    let Some(exact) = version.strip_prefix('=').filter(|rest| !rest.starts_with('=')) else {
        // `==1.2=build`
        let plain = match version.strip_prefix("==") {
            Some(rest) => format!("=={}", rest.split('=').next().unwrap_or(rest)),
            None => version,
        };
        return Some(plain);
    };
    let number = exact.split('=').next().unwrap_or(exact);
    let number = number.trim_end_matches(".*").trim_end_matches('*');
    Some(if number.is_empty() {
        String::new()
    } else {
        format!("=={number}.*")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_packages_keep_their_versions() {
        for (conda, pip) in [
            ("scikit-learn", Some("scikit-learn")),
            ("conda-forge::lightgbm=2.3", Some("lightgbm==2.3.*")),
            ("pytorch=1.4.0=py3.7_cuda10.1", Some("torch==1.4.0.*")),
            ("numpy==1.18.1", Some("numpy==1.18.1")),
            ("pandas >=1.0,<2", Some("pandas>=1.0,<2")),
            ("pandas=0.25.*", Some("pandas==0.25.*")),
            ("opencv", Some("opencv-python-headless")),
            ("cudatoolkit=10.1", Some("")),
            ("numpy=1.18|1.19", None),
            ("gcc_linux-64", None),
            ("r-base", None),
        ] {
            assert_eq!(requirement(conda).as_deref(), pip, "{conda}");
        }
    }

    #[test]
    fn the_list_is_in_order_and_says_nothing_twice() {
        assert!(SAME.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(RENAMED.iter().all(|(conda, _)| !SAME.contains(conda)));
    }
}
