"""What Grafana takes as a dashboard, as far as ours use it: a JSON Schema, strict.

The facts (names of fields, kinds, values) are those of the schemas that Grafana publishes
for dashboards, panels and Prometheus queries, of version 12. A field that is not here is
refused: then look it up there, and add it.
"""

from typing import Any

TEXT = {"type": "string"}
NUMBER = {"type": "number"}
WHOLE = {"type": "integer", "minimum": 0}
YES_NO = {"type": "boolean"}
COLOR = {"type": "string", "minLength": 3}

UNITS = (
    "none", "short", "percentunit", "s", "bytes", "Bps", "pps", "ops", "cps", "mps",
    "currencyUSD",
)  # fmt: skip
CALCS = ("lastNotNull", "max", "mean", "min", "sum", "last")


def one_of(*values: Any) -> dict[str, Any]:
    return {"enum": list(values)}


def many(item: Any) -> dict[str, Any]:
    return {"type": "array", "items": item}


def thing(*required: str, **fields: Any) -> dict[str, Any]:
    """An object of these fields and no others; those named must be there."""
    assert set(required) <= fields.keys()
    return {
        "type": "object",
        "additionalProperties": False,
        "required": list(required),
        "properties": fields,
    }


SOURCE = thing("type", "uid", type=TEXT, uid=TEXT)
PLACE = thing(
    "h",
    "w",
    "x",
    "y",
    h={"type": "integer", "minimum": 1},
    w={"type": "integer", "minimum": 1, "maximum": 24},
    x={"type": "integer", "minimum": 0, "maximum": 23},
    y=WHOLE,
)
LINK = thing(
    "title", "type", "icon", "tooltip", "tags", "asDropdown", "targetBlank",
    "includeVars", "keepTime",
    title=TEXT, type=one_of("link", "dashboards"), icon=TEXT, tooltip=TEXT, url=TEXT,
    tags=many(TEXT), asDropdown=YES_NO, targetBlank=YES_NO, includeVars=YES_NO,
    keepTime=YES_NO,
)  # fmt: skip
RESULT = thing(text=TEXT, color=COLOR, icon=TEXT, index=WHOLE)
MAPPING = {
    "oneOf": [
        thing(
            "type",
            "options",
            type=one_of("value"),
            options={"type": "object", "additionalProperties": RESULT},
        ),
        thing(
            "type",
            "options",
            type=one_of("range"),
            options=thing(
                "from",
                "to",
                "result",
                **{
                    "from": {"type": ["number", "null"]},
                    "to": {"type": ["number", "null"]},
                    "result": RESULT,
                },
            ),
        ),
    ]
}
THRESHOLDS = thing(
    "mode",
    "steps",
    mode=one_of("absolute", "percentage"),
    steps={
        **many(
            thing("value", "color", value={"type": ["number", "null"]}, color=COLOR)
        ),
        "minItems": 1,
    },
)
CUSTOM = {
    "timeseries": thing(
        drawStyle=one_of("line", "bars", "points"),
        lineWidth=NUMBER,
        fillOpacity={"type": "number", "minimum": 0, "maximum": 100},
        showPoints=one_of("auto", "never", "always"),
        spanNulls={"type": ["boolean", "number"]},
        stacking=thing("mode", mode=one_of("none", "normal", "percent"), group=TEXT),
        thresholdsStyle=thing(
            "mode", mode=one_of("off", "line", "dashed", "area", "line+area")
        ),
    ),
    "stat": thing(),
    "table": thing(
        "align", "inspect",
        align=one_of("auto", "left", "right", "center"), inspect=YES_NO,
        filterable=YES_NO, width=NUMBER,
        cellOptions=thing(
            "type", type=one_of("auto", "color-text", "color-background")
        ),
    ),
}  # fmt: skip
LEGEND = thing(
    "displayMode", "placement", "showLegend", "calcs",
    displayMode=one_of("list", "table", "hidden"), placement=one_of("bottom", "right"),
    showLegend=YES_NO, calcs=many(one_of(*CALCS)), sortBy=TEXT, sortDesc=YES_NO,
)  # fmt: skip
OPTIONS = {
    "timeseries": thing(
        "legend",
        "tooltip",
        legend=LEGEND,
        tooltip=thing(
            "mode",
            "sort",
            mode=one_of("single", "multi", "none"),
            sort=one_of("asc", "desc", "none"),
        ),
    ),
    "stat": thing(
        "graphMode", "colorMode", "justifyMode", "textMode", "wideLayout",
        "showPercentChange", "reduceOptions", "percentChangeColorMode", "orientation",
        graphMode=one_of("none", "line", "area"),
        colorMode=one_of("value", "background", "background_solid", "none"),
        justifyMode=one_of("auto", "center"),
        textMode=one_of("auto", "value", "value_and_name", "name", "none"),
        wideLayout=YES_NO, showPercentChange=YES_NO,
        percentChangeColorMode=one_of("standard", "inverted", "same_as_value"),
        orientation=one_of("auto", "vertical", "horizontal"),
        reduceOptions=thing(
            "calcs", calcs=many(one_of(*CALCS)), fields=TEXT, values=YES_NO
        ),
    ),
    "table": thing(
        "frameIndex", "showHeader",
        frameIndex=WHOLE, showHeader=YES_NO, cellHeight=one_of("sm", "md", "lg", "auto"),
    ),
}  # fmt: skip
OVERRIDE = thing(
    "matcher",
    "properties",
    matcher=thing("id", "options", id=one_of("byName"), options=TEXT),
    properties=many(
        thing(
            "id",
            "value",
            id=one_of("mappings", "links", "custom.cellOptions", "custom.width"),
            value={},
        )
    ),
)
TARGET = thing(
    "refId", "expr", "datasource", "range", "instant",
    refId=TEXT, expr={"type": "string", "minLength": 1}, datasource=SOURCE,
    legendFormat=TEXT, editorMode=one_of("code", "builder"), range=YES_NO,
    instant=YES_NO, format=one_of("time_series", "table", "heatmap"),
)  # fmt: skip


def _panel(kind: str) -> dict[str, Any]:
    fields = thing(
        "unit", "thresholds", "color",
        unit=one_of(*UNITS), decimals=WHOLE, min=NUMBER, max=NUMBER, noValue=TEXT,
        mappings=many(MAPPING), thresholds=THRESHOLDS, custom=CUSTOM[kind],
        color=thing("mode", mode=one_of("thresholds", "palette-classic", "fixed")),
    )  # fmt: skip
    return thing(
        "id", "type", "title", "description", "datasource", "gridPos", "fieldConfig",
        "options", "targets",
        id=WHOLE, type=one_of(kind), title=TEXT, description=TEXT, datasource=SOURCE,
        gridPos=PLACE, links=many(LINK), options=OPTIONS[kind],
        fieldConfig=thing(
            "defaults", "overrides", defaults=fields, overrides=many(OVERRIDE)
        ),
        targets={**many(TARGET), "minItems": 1},
        transformations=many(
            thing("id", "options", id=one_of("organize"), options={"type": "object"})
        ),
    )  # fmt: skip


ROW = thing(
    "id", "type", "title", "collapsed", "panels", "gridPos",
    id=WHOLE, type=one_of("row"), title=TEXT, collapsed=YES_NO,
    panels={"type": "array", "maxItems": 0}, gridPos=PLACE,
)  # fmt: skip
CHOICE = thing(
    "text",
    "value",
    text={"type": ["string", "array"]},
    value={"type": ["string", "array"]},
    selected=YES_NO,
)
VARIABLE = thing(
    "type", "name", "label", "description",
    type=one_of("query", "datasource", "textbox"), name=TEXT, label=TEXT,
    description=TEXT, query=TEXT, definition=TEXT, datasource=SOURCE, current=CHOICE,
    options=many(CHOICE), refresh=one_of(0, 1, 2), sort=one_of(*range(9)), regex=TEXT,
    multi=YES_NO, includeAll=YES_NO, allValue=TEXT, hide=one_of(0, 1, 2, 3),
    skipUrlSync=YES_NO,
)  # fmt: skip
ANNOTATION = thing(
    "name", "enable", "iconColor", "datasource",
    name=TEXT, enable=YES_NO, hide=YES_NO, iconColor=COLOR, datasource=SOURCE, type=TEXT,
    builtIn=one_of(0, 1), expr=TEXT, step=TEXT, titleFormat=TEXT, textFormat=TEXT,
    tagKeys=TEXT,
)  # fmt: skip
DASHBOARD = thing(
    "uid", "title", "description", "tags", "schemaVersion", "time", "panels",
    "templating", "annotations", "links",
    uid={"type": "string", "pattern": "^[a-z-]{1,40}$"}, title=TEXT, description=TEXT,
    tags=many(TEXT), schemaVersion={"type": "integer", "minimum": 39}, version=WHOLE,
    editable=YES_NO, graphTooltip=one_of(0, 1, 2), refresh=TEXT, timezone=TEXT,
    time=thing("from", "to", **{"from": TEXT, "to": TEXT}),
    panels=many({"oneOf": [ROW, *(_panel(kind) for kind in OPTIONS)]}),
    templating=thing("list", list=many(VARIABLE)),
    annotations=thing("list", list=many(ANNOTATION)), links=many(LINK),
)  # fmt: skip
