# What is done here again and again, one line each; .ci/run and the workflows call the same lines.
.DEFAULT_GOAL := help
.PHONY: help setup check lint test train serve docs docker lock

ARGS ?=
MODEL ?= runs/latest/bundle
REPOSITORY ?= mlops-cls
COMMIT ?= $(shell git rev-parse HEAD)
ENGINE ?= $(notdir $(firstword $(foreach engine,docker podman buildah,$(shell command -v $(engine) 2>/dev/null))))
IMAGES := train api
WORKFLOWS := $(wildcard .github/workflows/*.yml)

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## install everything into .venv
	command -v uv || pip install uv
	uv sync

check: lint ## style, types, layers, and the linters of all that is no Python
	uv run ruff format --check .
	uv run ruff check .
	uv run mypy
	uv run lint-imports

lint: ## Dockerfiles, workflows and shell scripts
	uv run hadolint dockerfiles/*.dockerfile
	uv run shellcheck .ci/* dockerfiles/lock
	uv run actionlint $(WORKFLOWS)
	uv run zizmor --offline --quiet --persona auditor .github
	uv run check-jsonschema --builtin-schema vendor.github-workflows $(WORKFLOWS)
	uv run check-jsonschema --builtin-schema vendor.dependabot .github/dependabot.yml

test: ## the tests, such as: make test ARGS="-n0 tests/test_card.py"
	uv run pytest $(ARGS)

train: ARGS := $(or $(ARGS),experiment=quickstart)
train: ## train, such as: make train ARGS="experiment=resnet18 data=folder data.root=my_pictures"
	uv run python -m mlops_cls.train $(ARGS)

serve: ## answer over HTTP, such as: make serve MODEL=runs/latest/bundle ARGS="--port 8090"
	uv run python -m mlops_cls.serve $(MODEL) $(ARGS)

docs: ## build the pages into site/, every warning an error
	NO_MKDOCS_2_WARNING=1 uv run --group docs mkdocs build --strict

docker: $(IMAGES:%=docker-%) ## build both images, such as: make docker ENGINE=podman REPOSITORY=REGION-docker.pkg.dev/PROJECT/NAME

docker-%:
	$(ENGINE) build --file dockerfiles/$*.dockerfile --build-arg COMMIT=$(COMMIT) $(ARGS) \
		--tag $(REPOSITORY)/$*:latest --tag $(REPOSITORY)/$*:$$(printf %.12s $(COMMIT)) .

lock: ## write the hashed requirements of the images again
	bash dockerfiles/lock
