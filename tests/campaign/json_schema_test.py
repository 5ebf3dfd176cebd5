"""The published JSON Schema accepts and refuses what the validator does, over tests/data/campaign.

usage: json_schema_test.py CORPUS_JSON CORPUS_DIR

Needs the package `jsonschema` to evaluate the schema; without it only the schema's own form is checked, and
the output says so.
"""
import json
import pathlib
import subprocess
import sys


def keywords_hold(schema, where="schema"):
    """Checks what an editor relies on: closed objects with documented fields, known keywords."""
    if schema.get("type") == "object":
        assert schema["additionalProperties"] is False, where
        assert set(schema["required"]) <= set(schema["properties"]), where
        for name, field in schema["properties"].items():
            assert field.get("description"), f"{where}.{name} has no description"
            keywords_hold(field, f"{where}.{name}")
    elif schema.get("type") == "array":
        assert schema["minItems"] == 1 <= schema["maxItems"], where
        keywords_hold(schema["items"], where + "[]")
    elif "anyOf" in schema:
        for alternative in schema["anyOf"]:
            keywords_hold(alternative, where)
    else:
        assert schema.get("enum") or schema["type"] in ("string", "integer", "number"), where


def main(corpus_json, corpus):
    folders = [corpus / "good", corpus / "bad"]
    out = json.loads(subprocess.run([corpus_json, *folders], check=True, capture_output=True).stdout)
    schema, files = out["schema"], out["files"]
    keywords_hold(schema)
    try:
        import jsonschema
    except ImportError:
        print("NOT CHECKED: the corpus against the JSON Schema (no package jsonschema)")
        return 0
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    wrong = []
    counts = {"good": 0, "bad": 0, "rule": 0}
    for folder in folders:
        for path in sorted(folder.glob("*.yaml")):
            if path.name.startswith("syntax-"):
                continue
            beyond_schema = path.name.startswith("rule-")
            expected = folder.name == "good" or beyond_schema
            counts["rule" if beyond_schema else folder.name] += 1
            if validator.is_valid(files[path.name]) != expected:
                wrong.append(f"{path.name}: the schema {'refuses' if expected else 'accepts'} it")
    print(f"agrees on {counts}" if not wrong else "\n".join(wrong))
    assert min(counts.values()) > 0, counts
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], pathlib.Path(sys.argv[2])))
