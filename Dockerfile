# A server that answers raw rows with predictions and a score, see docs/guide-deploy.md.
#
#   docker build -t seesaw-serve .
#   docker run -p 5001:5001 -e MLFLOW_TRACKING_URI=http://your-mlflow:5000 seesaw-serve models:/shop@champion
#   docker run -p 5001:5001 -v "$PWD/model:/model:ro" seesaw-serve /model
#
# The second form needs no MLflow server: `mlflow artifacts download -u models:/shop@champion -d model` makes the folder.
# A model with a plug-in in it needs an image that installs the plug-in, too.
FROM python:3.12-slim

# Numeric libraries of compiled passes need OpenMP; its version is the base image's.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libgomp1 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --home-dir /app --uid 1000 seesaw

WORKDIR /seesaw
COPY pyproject.toml setup.py seesaw.py README.md LICENSE constraints.txt ./
COPY bench bench
COPY datasets datasets
COPY search_spaces search_spaces
COPY reports reports
RUN pip install --no-cache-dir --constraint constraints.txt ".[serve]"

USER 1000
WORKDIR /app
ENV MLFLOW_DISABLE_TELEMETRY=true
EXPOSE 5001
HEALTHCHECK --start-period=60s CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:5001/ping', timeout=3)"]
ENTRYPOINT ["mlflow", "models", "serve", "--env-manager", "local", "--host", "0.0.0.0", "--port", "5001", "--model-uri"]
CMD ["/model"]
