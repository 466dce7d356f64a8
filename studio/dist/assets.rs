/// Built assets: path, media type, content.
static ASSETS: &[(&str, &str, &[u8])] = &[];
