{# A stream as a table: each record once, in its newest version, with times in UTC.

   The columns and their types are those that the model declares, which document_streams.py copies from the
   connector's schemas. A table or file that is not there gives no rows, and a column that was not selected is
   null, so that the models also work on a part of the streams. #}
{% macro stage(stream, key, newest=none) %}
{%- set relation = source('raw_100ms', stream) -%}
{%- if execute -%}
{%- set found = columns_of(stream, relation) -%}
with records as (
    select
    {%- for name, column in model.columns.items() if name != 'extracted_at' %}
        {{ staged(name, column.data_type) if name in found else null_of(column.data_type) }} as {{ 'is_default' if name == 'default' else name }},
    {%- endfor %}
        {{ staged('_airbyte_extracted_at', 'timestamp') if '_airbyte_extracted_at' in found else null_of('timestamp') }} as extracted_at,
        {#- Of two lines of a file, the later one is newer. #}
        {{ 'row_number() over ()' if found and var('rows_folder') else '0' }} as line
    {%- if not found %}
    from (select 1 as nothing) as raw
    where false
    {%- elif var('rows_folder') %}
    from {{ rows_file(stream) }} as raw
    {%- else %}
    from {{ relation }} as raw
    {%- endif %}
),

numbered as (
    select
        records.*,
        row_number() over (
            partition by {{ key | join(', ') }}
            order by {{ newest ~ ' desc, ' if newest }}extracted_at desc, line desc
        ) as place
    from records
)

select {{ model.columns.keys() | map('replace', 'default', 'is_default') | join(', ') }}
from numbered
where place = 1
{%- endif %}
{% endmacro %}


{# The names of the columns that a stream has where it is read from; none if it is not there. #}
{% macro columns_of(stream, relation) %}
    {%- set declared = model.columns.keys() | list -%}
    {%- if var('rows_folder') -%}
        {%- set files = run_query("select count(*) from glob('" ~ rows_path(stream) ~ "')").columns[0][0] -%}
        {{ return(declared if files else []) }}
    {%- elif not flags.INTROSPECT -%}
        {{ return(declared + ['_airbyte_extracted_at']) }}
    {%- else -%}
        {%- set table = load_relation(relation) -%}
        {{ return(adapter.get_columns_in_relation(table) | map(attribute='name') | map('lower') | list if table else []) }}
    {%- endif -%}
{% endmacro %}


{% macro rows_path(stream) %}
    {{- return((var('rows_folder') ~ '/' ~ stream ~ '.jsonl') | replace("'", "''")) -}}
{% endmacro %}


{# The file of a stream. All types are given, because a sample of the lines could suggest others. #}
{% macro rows_file(stream) -%}
    {%- set types = {'text': 'VARCHAR', 'number': 'DOUBLE', 'integer': 'BIGINT', 'boolean': 'BOOLEAN', 'timestamp': 'TIMESTAMP', 'json': 'JSON'} -%}
    read_json(
        '{{ rows_path(stream) }}', format = 'newline_delimited', maximum_object_size = 104857600,
        timestampformat = '%Y-%m-%dT%H:%M:%S.%fZ',
        columns = { {%- for name, column in model.columns.items() if name != 'extracted_at' %}"{{ name }}": '{{ types[column.data_type] }}'{{ ', ' if not loop.last }}{% endfor -%} }
    )
{%- endmacro %}


{% macro staged(name, type) -%}
    {%- set column = 'raw.' ~ quoted(name) -%}
    {{ {'timestamp': utc(column), 'json': as_json(column)}.get(type, column) }}
{%- endmacro %}


{% macro null_of(type) -%}
    cast(null as {{ {
        'text': dbt.type_string(), 'number': dbt.type_numeric(), 'integer': dbt.type_bigint(),
        'boolean': dbt.type_boolean(), 'timestamp': dbt.type_timestamp(), 'json': type_json(),
    }[type] }})
{%- endmacro %}
