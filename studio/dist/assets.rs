// Written by `studio/scripts/embed.mjs`: the built page, embedded.

/// Built assets.
static ASSETS: &[Asset] = &[
    Asset {
        path: "assets/index-Ce5VpHp2.js",
        kind: "text/javascript; charset=utf-8",
        plain: include_bytes!("assets/index-Ce5VpHp2.js"),
        br: include_bytes!("../packed/assets/index-Ce5VpHp2.js.br"),
        gz: include_bytes!("../packed/assets/index-Ce5VpHp2.js.gz"),
    },
    Asset {
        path: "assets/raster.worker-C64DCkq1.js",
        kind: "text/javascript; charset=utf-8",
        plain: include_bytes!("assets/raster.worker-C64DCkq1.js"),
        br: include_bytes!("../packed/assets/raster.worker-C64DCkq1.js.br"),
        gz: include_bytes!("../packed/assets/raster.worker-C64DCkq1.js.gz"),
    },
    Asset {
        path: "assets/style-CGRzFOcz.css",
        kind: "text/css; charset=utf-8",
        plain: include_bytes!("assets/style-CGRzFOcz.css"),
        br: include_bytes!("../packed/assets/style-CGRzFOcz.css.br"),
        gz: include_bytes!("../packed/assets/style-CGRzFOcz.css.gz"),
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
