//! The API description (OpenAPI 3.1), made from the table of routes and the row types.

use crate::studio::route::ROUTES;
use axum::Json;
use serde_json::{Map, Value, json};

pub(super) async fn description() -> Json<Value> {
    Json(document())
}

/// The whole description.
pub(super) fn document() -> Value {
    let mut paths: Map<String, Value> = Map::new();
    for route in ROUTES {
        let mut parameters: Vec<Value> = route
            .path
            .split('{')
            .skip(1)
            .filter_map(|part| part.split('}').next())
            .map(|name| name.trim_start_matches('*'))
            .map(|name| json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}}))
            .collect();
        parameters.extend(route.query.iter().map(|(name, meaning)| {
            json!({"name": name, "in": "query", "description": meaning, "schema": {"type": "string"}})
        }));
        let content = if route.answer.contains('/') {
            json!({route.answer: {}})
        } else {
            json!({"application/json": {"schema": {"$ref": format!("#/components/schemas/{}", route.answer)}}})
        };
        let operation = json!({
            "summary": route.summary,
            "parameters": parameters,
            "responses": {
                "200": {"description": route.summary, "content": content},
                "default": {"description": "refused", "content": {"application/json": {
                    "schema": {"$ref": "#/components/schemas/Error"}
                }}},
            },
        });
        let entry = paths
            .entry(route.path.replace("{*", "{"))
            .or_insert_with(|| json!({}));
        if let Some(map) = entry.as_object_mut() {
            map.insert(route.method.to_ascii_lowercase(), operation);
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {"title": "overdrive studio", "version": env!("CARGO_PKG_VERSION")},
        "security": [{"token": []}, {"cookie": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer"},
                "cookie": {"type": "apiKey", "in": "cookie", "name": "overdrive_session"},
            },
            "schemas": schemas(),
        },
    })
}

fn schemas() -> Value {
    use crate::store::{EventRow, MetricPoint, MetricSummary, SweepRow, TrialRow};
    let mut generator = schemars::generate::SchemaSettings::draft2020_12()
        .with(|settings| settings.definitions_path = "/components/schemas".into())
        .into_generator();
    let list = |item: &str| {
        json!({"type": "object", "properties": {
            "schema_version": {"type": "integer"},
            "items": {"type": "array", "items": {"$ref": format!("#/components/schemas/{item}")}},
            "next": {"type": ["integer", "null"]},
        }})
    };
    for_each_row(&mut generator);
    let mut schemas = generator.take_definitions(true);
    for (name, item) in [
        ("SweepList", "SweepRow"),
        ("TrialList", "TrialRow"),
        ("MetricPoints", "MetricPoint"),
        ("MetricList", "MetricSummary"),
        ("EventList", "EventRow"),
    ] {
        schemas.insert(name.into(), list(item));
    }
    for name in [
        "SweepDetail",
        "TrialDetail",
        "Summary",
        "Submitted",
        "Checked",
        "Link",
        "Importances",
        "Surface",
        "Requested",
        "FileList",
        "Points",
        "TargetList",
        "About",
    ] {
        schemas.insert(name.into(), json!({"type": "object"}));
    }
    schemas.insert(
        "Error".into(),
        json!({"type": "object", "required": ["error"], "properties": {"error": {
            "type": "object",
            "required": ["code", "message"],
            "properties": {"code": {"type": "string"}, "message": {"type": "string"}},
        }}}),
    );
    return Value::Object(schemas);

    fn for_each_row(generator: &mut schemars::SchemaGenerator) {
        generator.subschema_for::<SweepRow>();
        generator.subschema_for::<TrialRow>();
        generator.subschema_for::<MetricPoint>();
        generator.subschema_for::<MetricSummary>();
        generator.subschema_for::<EventRow>();
    }
}
