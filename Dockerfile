# The image is the static binary and nothing beside it: no shell, no C library, no rights. Root may be mounted read-only;
# the ledger lies in the volume, which needs a name to outlive its container (docker run -v outdial:/var/lib/outdial).
# There is no HEALTHCHECK, since there is nothing in it to ask with: whoever runs it asks /readyz.
# Both images are named by their tags; who wants the same ones each time names them by digest. Built with: make image
FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=devel
RUN CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags "-s -w -buildid= -X main.release=${VERSION}" -o /out/outdial ./cmd/outdial \
 && mkdir -p /out/ledger

FROM gcr.io/distroless/static:nonroot
LABEL org.opencontainers.image.title="outdial" \
      org.opencontainers.image.description="A telephone for AI agents: an MCP server that places and follows phone calls" \
      org.opencontainers.image.licenses="MIT"
COPY --from=build /out/outdial /usr/local/bin/outdial
COPY --from=build --chown=65532:65532 --chmod=0700 /out/ledger /var/lib/outdial
ENV OUTDIAL_DATABASE=sqlite:/var/lib/outdial/outdial.db
VOLUME ["/var/lib/outdial"]
USER nonroot:nonroot
ENTRYPOINT ["/usr/local/bin/outdial"]
CMD ["stdio"]
