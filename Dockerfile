FROM python:3.12-slim

RUN useradd --system --create-home --home-dir /var/lib/headwater headwater
WORKDIR /opt/headwater
COPY requirements.lock ./
RUN pip install --no-cache-dir --no-deps --only-binary :all: --require-hashes -r requirements.lock
COPY catalog catalog
COPY compute compute
COPY controllers controllers
COPY coordinator coordinator
COPY core core
COPY expr expr
COPY frontend frontend
COPY headwater headwater
COPY oracle oracle
COPY persist persist
COPY sql sql
COPY LICENSE README.md ./

USER headwater
ENV PYTHONPATH=/opt/headwater \
    PYTHONSAFEPATH=1 \
    HEADWATER_DATA_DIR=/var/lib/headwater/data \
    HEADWATER_SQL_LISTEN_ADDR=0.0.0.0:6875 \
    HEADWATER_HTTP_LISTEN_ADDR=0.0.0.0:6876
VOLUME /var/lib/headwater
EXPOSE 6875 6876
STOPSIGNAL SIGTERM
HEALTHCHECK --start-period=10s --interval=10s --timeout=3s CMD ["python", "-c", \
    "import urllib.request; urllib.request.urlopen('http://127.0.0.1:6876/readyz', timeout=2)"]
ENTRYPOINT ["python", "-m", "headwater"]
