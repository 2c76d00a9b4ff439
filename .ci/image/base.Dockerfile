# Stands in for python:3.11-slim where no container registry can be reached: Debian's own Python 3.11.
# hadolint ignore=DL3006
FROM scratch
ADD rootfs.tar /
COPY certificates /usr/local/share/ca-certificates/
RUN update-ca-certificates \
    && rm -f /usr/lib/python3.11/EXTERNALLY-MANAGED \
    && ln -s python3.11 /usr/bin/python
ENV SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt \
    PIP_CERT=/etc/ssl/certs/ca-certificates.crt
CMD ["python3"]
