"""docs/iam-actions.md, which is made of firn's tables, against the SDK's model; and the tables over the wire by that model."""

import pathlib
import re

import boto3
import pytest
from botocore.exceptions import ClientError
from identities import service

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "iam-actions.md"
SERVICES = ["iam", "sts"]


def model(name):
    return boto3.session.Session().client(name, region_name="us-east-1").meta.service_model


def section(name):
    return re.search(rf"^## {name.upper()}, (\S+)\n(.*?)(?=^## |\Z)", PAGE.read_text(), re.MULTILINE | re.DOTALL)


def done(name):
    """Operations that are done: their parameters and errors, as the page has them."""
    rows = re.findall(rf"^\| (\w+) \| `{name}:\w+` \| (.*) \|$", section(name)[2], re.MULTILINE)
    cells = {operation: rest.split(" | ") for operation, rest in rows}
    return {operation: (rest[-2], re.findall(r"`(\w+)`", rest[-1])) for operation, rest in cells.items()}


def missing(name):
    rows = section(name)[2].split("Answered with `NotImplemented`:")[1]
    return [name for names in re.findall(r"^\| ([A-Z].*?) \|", rows, re.MULTILINE) for name in names.split(", ")]


@pytest.mark.parametrize("name", SERVICES)
def test_the_page_has_every_operation_of_the_model(name):
    known, named = set(model(name).operation_names), set(done(name)) | set(missing(name))
    assert section(name)[1] == model(name).api_version
    # An SDK older than the table lacks the newest operations; none that it has is missing.
    assert known and not known - named
    assert not set(done(name)) & set(missing(name))


def bounds(shape):
    metadata = shape.metadata
    return f"{metadata.get('min', 0)} " + (f"to {metadata['max']}" if "max" in metadata else "and more")


def words(shape):
    if shape.type_name == "boolean":
        return "true or false"
    if shape.type_name == "list":
        return f"{bounds(shape)} of ({words(shape.member)})"
    if shape.type_name == "structure":
        return fields(shape)
    return shape.name


def fields(shape):
    def one(name, member):
        return f"`{name}`{'' if name in shape.required_members else '?'} {words(member)}"

    return ", ".join(one(name, member) for name, member in shape.members.items())


def scalars(shape, seen):
    if shape.type_name == "list":
        scalars(shape.member, seen)
    elif shape.type_name == "structure":
        for member in shape.members.values():
            scalars(member, seen)
    else:
        seen[shape.name] = shape


def takes(shape):
    """What a shape takes, as the page has it."""
    if shape.type_name == "integer":
        return f"a number, {shape.metadata['min']} to {shape.metadata['max']}"
    if shape.enum:
        return "one of " + ", ".join(f"`{word}`" for word in shape.enum)
    pattern = shape.metadata.get("pattern", "").replace("|", r"\|")
    return f"{bounds(shape)} characters" + (f", <code>{pattern}</code>" if pattern else "")


@pytest.mark.parametrize("name", SERVICES)
def test_parameters_bounds_and_errors_are_the_models(name):
    known, seen = model(name), {}
    shapes = dict(re.findall(r"^\| (\w+) \| (.*) \|$", section(name)[2].split("\nShapes of ")[1], re.MULTILINE))
    for operation, (parameters, errors) in done(name).items():
        if operation not in known.operation_names:
            continue
        of_model = known.operation_model(operation)
        inputs = of_model.input_shape
        assert parameters == (fields(inputs) if inputs else ""), operation
        codes = {shape.metadata.get("error", {}).get("code", shape.name) for shape in of_model.error_shapes}
        assert set(errors) == codes, operation
        if inputs:
            scalars(inputs, seen)
    for shape in seen.values():
        if shape.type_name != "boolean":
            assert shapes[shape.name] == takes(shape), shape.name


def samples(shape):
    """Values that a scalar must not have, and why."""
    metadata = shape.metadata
    if shape.type_name == "integer":
        return [metadata["min"] - 1, metadata["max"] + 1]
    if shape.type_name != "string":
        return []
    if shape.enum:
        return ["Nonsense"]
    wrong = ["x" * (metadata["max"] + 1)] if "max" in metadata else []
    wrong += [""] if metadata.get("min", 0) > 0 else []
    # No pattern of theirs takes this letter.
    return wrong + (["\ufffe\u0001"] if "pattern" in metadata else [])


def filler(shape):
    """Some value of a shape."""
    if shape.type_name == "structure":
        return {name: filler(member) for name, member in shape.members.items()}
    if shape.type_name == "list":
        return [filler(shape.member)]
    return "x" * 20


@pytest.mark.parametrize("name", SERVICES)
def test_each_parameter_is_held_to_its_bounds_over_the_wire(appliance, name):
    client, known, asked = service(appliance, name, validates=False), model(name), 0

    def told(operation, parameters, at):
        with pytest.raises(ClientError) as refused:
            client._make_api_call(operation, parameters)
        answer = refused.value.response
        assert answer["Error"]["Code"] == "ValidationError", (operation, parameters, answer)
        assert answer["ResponseMetadata"]["HTTPStatusCode"] == 400
        assert f"'{at}'" in answer["Error"]["Message"], (operation, parameters, answer)

    for operation in done(name):
        if operation not in known.operation_names:
            continue
        inputs = known.operation_model(operation).input_shape
        for parameter, shape in (inputs.members if inputs else {}).items():
            at = parameter[0].lower() + parameter[1:]
            if parameter in inputs.required_members:
                told(operation, {}, at)
                asked += 1
            for wrong in samples(shape):
                told(operation, {parameter: wrong}, at)
                asked += 1
            if shape.type_name == "list" and "max" in shape.metadata:
                member = filler(shape.member)
                told(operation, {parameter: [member] * (shape.metadata["max"] + 1)}, at)
                asked += 1
    assert asked > (20 if name == "sts" else 300)


@pytest.mark.parametrize("name", SERVICES)
def test_what_is_not_done_is_told_as_such(appliance, name):
    client, known = service(appliance, name, validates=False), model(name)
    for operation in missing(name):
        if operation not in known.operation_names:
            continue
        with pytest.raises(ClientError) as refused:
            client._make_api_call(operation, {})
        answer = refused.value.response
        assert answer["Error"]["Code"] == "NotImplemented", (operation, answer)
        assert answer["ResponseMetadata"]["HTTPStatusCode"] == 501 and answer["ResponseMetadata"]["RequestId"]
