//! A flat table as a Parquet file, through the low-level column writer: one row group, Zstandard, every column optional.

use super::{Cells, ExportError, Table};
use parquet::basic::{Compression, ConvertedType, LogicalType, Repetition, Type as Physical, ZstdLevel};
use parquet::column::writer::ColumnWriter;
use parquet::data_type::ByteArray;
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::Type;
use std::sync::Arc;

pub(super) fn write(table: &Table) -> Result<Vec<u8>, ExportError> {
    let fields = table
        .columns
        .iter()
        .map(|(name, cells)| field(name, cells))
        .collect::<Result<Vec<_>, _>>()?;
    let schema = Arc::new(
        Type::group_type_builder("overdrive")
            .with_fields(fields)
            .build()?,
    );
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_created_by(format!("overdrive {}", env!("CARGO_PKG_VERSION")))
        .build();
    let mut writer = SerializedFileWriter::new(Vec::new(), schema, Arc::new(properties))?;
    let mut group = writer.next_row_group()?;
    for (_, cells) in &table.columns {
        let Some(mut column) = group.next_column()? else {
            break;
        };
        fill(column.untyped(), cells)?;
        column.close()?;
    }
    group.close()?;
    Ok(writer.into_inner()?)
}

fn field(name: &str, cells: &Cells) -> Result<Arc<Type>, ParquetError> {
    let physical = match cells {
        Cells::Int(_) => Physical::INT64,
        Cells::Real(_) => Physical::DOUBLE,
        Cells::Bool(_) => Physical::BOOLEAN,
        Cells::Text(_) => Physical::BYTE_ARRAY,
    };
    let mut builder = Type::primitive_type_builder(name, physical).with_repetition(Repetition::OPTIONAL);
    if physical == Physical::BYTE_ARRAY {
        builder = builder
            .with_logical_type(Some(LogicalType::String))
            .with_converted_type(ConvertedType::UTF8);
    }
    Ok(Arc::new(builder.build()?))
}

fn fill(writer: &mut ColumnWriter<'_>, cells: &Cells) -> Result<(), ParquetError> {
    fn levels<T>(cells: &[Option<T>]) -> Vec<i16> {
        cells.iter().map(|cell| i16::from(cell.is_some())).collect()
    }
    match (writer, cells) {
        (ColumnWriter::Int64ColumnWriter(writer), Cells::Int(cells)) => {
            let values: Vec<i64> = cells.iter().copied().flatten().collect();
            writer.write_batch(&values, Some(&levels(cells)), None)?;
        }
        (ColumnWriter::DoubleColumnWriter(writer), Cells::Real(cells)) => {
            let values: Vec<f64> = cells.iter().copied().flatten().collect();
            writer.write_batch(&values, Some(&levels(cells)), None)?;
        }
        (ColumnWriter::BoolColumnWriter(writer), Cells::Bool(cells)) => {
            let values: Vec<bool> = cells.iter().copied().flatten().collect();
            writer.write_batch(&values, Some(&levels(cells)), None)?;
        }
        (ColumnWriter::ByteArrayColumnWriter(writer), Cells::Text(cells)) => {
            let values: Vec<ByteArray> = cells
                .iter()
                .flatten()
                .map(|cell| ByteArray::from(cell.as_str()))
                .collect();
            writer.write_batch(&values, Some(&levels(cells)), None)?;
        }
        _ => return Err(ParquetError::General("a column changed its type".into())),
    }
    Ok(())
}
