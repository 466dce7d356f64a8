// Written by `studio/scripts/embed.mjs`: the built page, embedded.

/// Built assets.
static ASSETS: &[Asset] = &[
    Asset {
        path: "assets/index-srOOPaB_.js",
        kind: "text/javascript; charset=utf-8",
        plain: include_bytes!("assets/index-srOOPaB_.js"),
        br: include_bytes!("../packed/assets/index-srOOPaB_.js.br"),
        gz: include_bytes!("../packed/assets/index-srOOPaB_.js.gz"),
    },
    Asset {
        path: "assets/raster.worker-KlJUsXxv.js",
        kind: "text/javascript; charset=utf-8",
        plain: include_bytes!("assets/raster.worker-KlJUsXxv.js"),
        br: include_bytes!("../packed/assets/raster.worker-KlJUsXxv.js.br"),
        gz: include_bytes!("../packed/assets/raster.worker-KlJUsXxv.js.gz"),
    },
    Asset {
        path: "assets/style-BtBBvL-i.css",
        kind: "text/css; charset=utf-8",
        plain: include_bytes!("assets/style-BtBBvL-i.css"),
        br: include_bytes!("../packed/assets/style-BtBBvL-i.css.br"),
        gz: include_bytes!("../packed/assets/style-BtBBvL-i.css.gz"),
    },
    Asset {
        path: "icon.svg",
        kind: "image/svg+xml",
        plain: include_bytes!("icon.svg"),
        br: include_bytes!("../packed/icon.svg.br"),
        gz: include_bytes!("../packed/icon.svg.gz"),
    },
    Asset {
        path: "index.html",
        kind: "text/html; charset=utf-8",
        plain: include_bytes!("index.html"),
        br: include_bytes!("../packed/index.html.br"),
        gz: include_bytes!("../packed/index.html.gz"),
    },
];
