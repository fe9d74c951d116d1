"""A request as MLflow reads it: no id loses digits, and rows that lack columns are refused with a sentence."""

from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from serving_toys import raw_rows

from bench.core.errors import UserError

LONG = 2**53 + 1  # the first whole number that is no float64


class Requests:
    """What MLflow's server does with a request's body, in this process."""

    def __init__(self, package):
        from bench.tracking import registry, served

        self.schema = registry.signature_of(package).inputs
        self.package, self.texts, self.exact = served.ServedPackage(), served._texts, served._exact_rows
        self.package._scorer = package.scorer()

    def frame(self, data):
        from mlflow.models.utils import _enforce_schema
        from mlflow.pyfunc.scoring_server import infer_and_parse_data

        found: pd.DataFrame = _enforce_schema(self.exact(infer_and_parse_data)(data, self.schema), self.schema)
        return found

    def json(self, data):
        return self.package.predict(None, self.frame(data))


@pytest.fixture(scope="module")
def requests(package):
    return Requests(package)


@pytest.fixture
def rows(requests):
    return raw_rows().select(requests.schema.input_names()).slice(0, 2).to_pylist()


@pytest.mark.parametrize("beside", [None, 1.5, "absent"])
@pytest.mark.parametrize("own", [LONG, -LONG])
def test_an_id_keeps_its_digits_beside_one_that_is_none(requests, rows, own, beside):
    rows[0]["user_id"], rows[1]["user_id"] = own, None if beside == "absent" else beside
    columns = list(rows[0])
    cells = [[row[name] for name in columns] for row in rows]
    forms: list[dict[str, Any]] = [{"dataframe_split": {"columns": columns, "data": cells}}]
    forms.append({"inputs": dict(zip(columns, map(list, zip(*cells, strict=True)), strict=True))})
    if beside == "absent":
        del rows[1]["user_id"]
    forms.append({"dataframe_records": rows})
    for data in forms:
        table = requests.package._scorer.rows.table(requests.frame(data))
        assert table["user_id"].to_pylist()[0] == str(own)


def test_an_id_that_is_a_float_already_is_refused(requests, rows):
    """In a frame, a table and a request; a number may be as large as it likes."""
    rows[1] |= {"user_id": float(LONG), "price": 1e300}
    expected = "row 2: 'user_id': expected an id as a whole number or a text, found the float 9007199254740992, which"
    frame = pd.DataFrame(rows)
    for given in (frame, rows, pa.Table.from_pandas(frame)):
        with pytest.raises(UserError, match=expected):
            requests.package._scorer.predict(given)
    from mlflow.exceptions import MlflowException

    with pytest.raises(MlflowException, match=expected):
        requests.json({"dataframe_records": rows})
    rows[1]["user_id"] = float(2**53 - 1)
    assert len(requests.package._scorer.predict(rows)) == 2


@pytest.mark.parametrize(
    "data",
    [{"dataframe_records": [{"x": 1}]}, {"dataframe_split": {"columns": ["x"], "data": [[1]]}}, {"inputs": {"x": [1]}}],
)
def test_rows_without_a_known_column_are_refused(requests, data):
    from mlflow.exceptions import MlflowException

    with pytest.raises(MlflowException, match=r"expected rows with the columns user_id, .*, found none") as error:
        requests.json(data)
    assert error.value.get_http_status_code() == 400
    assert len(requests.json({"dataframe_records": []})) == 0
