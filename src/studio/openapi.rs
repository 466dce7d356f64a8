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
        let mut operation = json!({
            "summary": route.summary,
            "parameters": parameters,
            "responses": {
                "200": {"description": route.summary, "content": content},
                "default": {"description": "refused", "content": {"application/json": {
                    "schema": {"$ref": "#/components/schemas/Error"}
                }}},
            },
        });
        if let (false, Some(map)) = (route.body.is_empty(), operation.as_object_mut()) {
            let schema = json!({"$ref": format!("#/components/schemas/{}", route.body)});
            let body = json!({"required": true, "content": {"application/json": {"schema": schema}}});
            map.insert("requestBody".into(), body);
        }
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

/// Shapes by name, made from the types that the handlers answer with.
fn schemas() -> Value {
    use crate::studio::{
        assets, check, columns, compute, control, density, files, model, overview, read, submit,
    };
    let mut generator = schemars::generate::SchemaSettings::draft2020_12()
        .with(|settings| settings.definitions_path = "/components/schemas".into())
        .for_serialize()
        .into_generator();
    macro_rules! describe {
        ($($shape:ty),* $(,)?) => { $(generator.subschema_for::<$shape>();)* };
    }
    describe![
        read::List<overview::SweepItem>,
        read::SweepDetail,
        overview::Summary,
        read::TrialPage,
        read::TrialDetail,
        read::MetricPoints,
        read::List<crate::store::MetricSummary>,
        read::List<crate::store::EventRow>,
        read::List<files::FileRow>,
        read::About,
        columns::Points<'_>,
        density::Nearest,
        model::Importances,
        model::Surface,
        check::Checked,
        submit::Submitted,
        assets::Link,
        control::Requested,
        compute::TargetDetail,
        compute::TargetAnswer,
        compute::TargetRemoved,
        read::List<compute::TargetRow>,
        read::List<compute::TargetKind>,
        crate::studio::error::Error,
    ];
    let mut schemas = generator.take_definitions(true);
    // What is sent here is read by other rules: what has a default may be left out.
    let mut sent = schemars::generate::SchemaSettings::draft2020_12()
        .with(|settings| settings.definitions_path = "/components/schemas".into())
        .for_deserialize()
        .into_generator();
    sent.subschema_for::<check::Draft>();
    sent.subschema_for::<control::Labels>();
    sent.subschema_for::<control::SweepAction>();
    sent.subschema_for::<control::TrialAction>();
    sent.subschema_for::<compute::TargetForm>();
    sent.subschema_for::<compute::TargetAction>();
    for (name, schema) in sent.take_definitions(true) {
        schemas.entry(name).or_insert(schema);
    }
    Value::Object(schemas)
}
