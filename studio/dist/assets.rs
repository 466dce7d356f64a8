// Written by `studio/scripts/embed.mjs`: the built page, embedded.

/// Built assets: path, media type, content.
static ASSETS: &[(&str, &str, &[u8])] = &[
    ("assets/index-D0_7QBUV.js", "text/javascript; charset=utf-8", include_bytes!("assets/index-D0_7QBUV.js")),
    ("assets/raster.worker-Dt-4Ge4U.js", "text/javascript; charset=utf-8", include_bytes!("assets/raster.worker-Dt-4Ge4U.js")),
    ("assets/style-DOZkrjAy.css", "text/css; charset=utf-8", include_bytes!("assets/style-DOZkrjAy.css")),
    ("icon.svg", "image/svg+xml", include_bytes!("icon.svg")),
    ("index.html", "text/html; charset=utf-8", include_bytes!("index.html")),
];
